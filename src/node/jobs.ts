/** Every job that a worker can do and where it lives; a module is loaded when its job is wanted. @module */
/**
 * Does one batch.
 *
 * @throws SealtreeError which arrives as it is at whoever waits for the batch
 */
// biome-ignore lint/suspicious/noExplicitAny: the job and its pool agree on the types
export type Perform = (batch: any) => unknown;

export interface JobModule {
  /** @param settings what the pool was made with */
  // biome-ignore lint/suspicious/noExplicitAny: the job and its pool agree on the type
  startJob(settings: any): Perform;
}

export type JobName = 'commit' | 'digest-store' | 'examine' | 'fsck' | 'verity';

export const JOBS: Readonly<Record<JobName, () => Promise<JobModule>>> = {
  commit: () => import('../source/commit-job.ts'),
  'digest-store': () => import('../image/digest-store-job.ts'),
  examine: () => import('../repo/examine-job.ts'),
  fsck: () => import('../repo/fsck-job.ts'),
  verity: () => import('./verity-job.ts'),
};
