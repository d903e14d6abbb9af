/** The worker that checks objects for fsck. @module */
import { serve } from '../node/worker.ts';
import { startJob } from '../repo/fsck-job.ts';

serve(startJob);
