/** The worker that digests files. @module */
import { startJob } from '../node/verity-job.ts';
import { serve } from '../node/worker.ts';

serve(startJob);
