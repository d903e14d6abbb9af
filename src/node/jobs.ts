/** What threads can be asked to do. @module */

/**
 * Does one batch.
 *
 * @throws SealtreeError which arrives as it is at whoever waits for the batch
 */
// biome-ignore lint/suspicious/noExplicitAny: the job and its pool agree on the types
export type Perform = (batch: any) => unknown;

/** @param settings what the pool was made with */
// biome-ignore lint/suspicious/noExplicitAny: the job and its pool agree on the type
export type StartJob = (settings: any) => Perform;

export interface Job {
  /** Which of src/workers does it in a thread of its own. */
  readonly name: string;
  /** For the calling thread; the module is loaded when it is needed there. */
  load(): Promise<{ readonly startJob: StartJob }>;
}
