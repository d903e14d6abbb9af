/** The job that checks objects of one repository, for a worker: a batch of names in, what is wrong with them out. @module */
import { ObjectFacts } from '../cache/object-facts.ts';
import type { ByteString } from '../core/bytes/byte-string.ts';
import type { Perform } from '../node/jobs.ts';
import { checkObject, type Finding } from './check-object.ts';
import type { ObjectName } from './reachable.ts';
import { Repo } from './repo.ts';

/** For each object of a batch what is wrong with it. */
export type FsckResult = readonly (Finding | undefined)[];

/** @param path of the repository */
export function startJob(path: ByteString): Perform {
  const repo = Repo.open(path);
  const facts = ObjectFacts.open(repo);
  return (batch: readonly ObjectName[]): FsckResult =>
    batch.map((object) => checkObject(repo, object, facts));
}
