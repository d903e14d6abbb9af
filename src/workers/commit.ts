/** The worker that makes content objects. @module */
import { serve } from '../node/worker.ts';
import { startJob } from '../source/commit-job.ts';

serve(startJob);
