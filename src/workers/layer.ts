/** The worker that hashes layers. @module */
import { startJob } from '../layer/layer-job.ts';
import { serve } from '../node/worker.ts';

serve(startJob);
