/**
 * The job that examines file objects: reads each whole, compares its hash with its name and computes the fs-verity
 * digest of its content, in one pass.
 * @module
 */
import type { ByteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { SealtreeError } from '../core/errors.ts';
import type { ComposefsFile } from '../core/ostree/composefs-tree.ts';
import { encodeFileHeader } from '../core/ostree/file-header.ts';
import { VerityHash } from '../core/verity/digest.ts';
import { opensslHash } from '../node/hash.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import type { Perform } from '../node/jobs.ts';
import { Repo } from './repo.ts';

/** Checksums of file objects. */
export type ExamineBatch = readonly string[];

/** What is wrong with an object. */
export interface Fault {
  readonly fault: string;
  readonly expected?: string;
  readonly found?: string;
}

/** For each object of a batch what it is, or what is wrong with it. */
export type ExamineResult = readonly (ComposefsFile | Fault)[];

/** @param path of the repository */
export function startJob({ path }: { readonly path: ByteString }): Perform {
  const repo = Repo.open(path);
  const verity = new VerityHash(opensslHash);
  return (batch: ExamineBatch): ExamineResult => batch.map((checksum) => examine(repo, checksum, verity));
}

function examine(repo: Repo, checksum: string, verity: VerityHash): ComposefsFile | Fault {
  try {
    const { header, content } = repo.file(checksum);
    const hash = opensslHash.create('sha256');
    hash.update(encodeFileHeader(header));
    verity.reset();
    let size = 0;
    for (const piece of content()) {
      hash.update(piece);
      verity.update(piece);
      size += piece.length;
    }
    const found = hexOf(hash.digest());
    const digest = hexOf(verity.digest());
    if (found === checksum) return { header, size, verity: size > 0 ? digest : undefined };
    return { fault: `its checksum is ${found}`, expected: checksum, found };
  } catch (error) {
    if (saysNothing(error)) throw error;
    const known = error instanceof SealtreeError ? error : ioError('reading', error);
    return { fault: known.message };
  }
}

/** Whether a failure is about this process and not about what it wanted to read: there is no decision then. */
export function saysNothing(error: unknown): boolean {
  return isErrno(error, 'EACCES', 'EPERM', 'EMFILE', 'ENFILE', 'ENOMEM');
}
