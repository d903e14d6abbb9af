/** The worker that examines objects for verify. @module */
import { serve } from '../node/worker.ts';
import { startJob } from '../repo/examine-job.ts';

serve(startJob);
