/** The worker that hashes blocks of a file. @module */
import { startJob } from '../node/block-job.ts';
import { serve } from '../node/worker.ts';

serve(startJob);
