/** Texts in the metadata of a deployment's commit. @module */
import type { ByteString } from '../core/bytes/byte-string.ts';
import type { Repo } from '../repo/repo.ts';

/** A string of the metadata; undefined if it has none, also if the commit itself is gone. */
export function commitText(repo: Repo, checksum: string, key: string): ByteString | undefined {
  if (!repo.hasObject('commit', checksum)) return undefined;
  const entry = repo.commit(checksum).metadata.find(([name]) => name === key)?.[1];
  return entry?.type === 's' ? (entry.value as ByteString) : undefined;
}
