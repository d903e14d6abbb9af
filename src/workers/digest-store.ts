/** The worker that fills object directories. @module */
import { startJob } from '../image/digest-store-job.ts';
import { serve } from '../node/worker.ts';

serve(startJob);
