/** The worker that puts files into directories for checkouts. @module */
import { serve } from '../node/worker.ts';
import { startJob } from '../repo/checkout-job.ts';

serve(startJob);
