/**
 * A commit's composefs image as a file: what `ostree checkout --composefs` makes. With digests it must have the one
 * that the commit names, if it names any.
 * @module
 */
import { closeSync, constants, fchmodSync, openSync, renameSync, unlinkSync } from 'node:fs';
import { ObjectFacts } from '../cache/object-facts.ts';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { prefixed, SealtreeError } from '../core/errors.ts';
import type { Commit } from '../core/ostree/commit.ts';
import { type ComposefsReader, composefsTree } from '../core/ostree/composefs-tree.ts';
import { composefsDigest } from '../core/ostree/metadata.ts';
import { verityParameters } from '../core/verity/descriptor.ts';
import { digestImage } from '../image/image-file.ts';
import { temporaryName, writeAll } from '../node/atomic-file.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { enableVerity } from '../node/syscalls.ts';
import { nodeSystem } from '../node/system.ts';
import { forgetTemporary, registerTemporary } from '../node/temporary.ts';
import { type ExaminedTree, examineTree } from './examine-tree.ts';
import { ObjectIndex } from './object-index.ts';
import type { Repo } from './repo.ts';
import { writeSettings } from './write-settings.ts';

/**
 * Which files of the image carry an fs-verity digest: all, and then all their content is read and held against its
 * name, unless the cache knows what it is; those that the kernel guards already; or none.
 */
export type ImageDigests = 'all' | 'measured' | 'none';

/**
 * @param cache whether the repository's cache tells what file objects are, which are then not read, and learns it
 * @throws SealtreeError `mismatch` in ostree's words if the image is not the one that the commit names
 */
export async function checkOutComposefs(
  repo: Repo,
  checksum: string,
  destination: ByteString,
  { digests, cache }: { readonly digests: ImageDigests; readonly cache: boolean },
): Promise<void> {
  const commit = repo.commit(checksum);
  const reader =
    digests === 'all' ? await digestedReader(repo, commit, cache) : plainReader(repo, digests === 'measured');
  const root = composefsTree(reader, commit.rootDirtree, commit.rootDirmeta);
  // Beside the destination, which may be on another file system than anything else here.
  const temporary = temporaryName(destination);
  let fd: number;
  try {
    fd = openSync(fsPath(temporary), 'wx', 0o600);
  } catch (error) {
    throw ioError('linkat', error);
  }
  registerTemporary(temporary);
  try {
    try {
      const { digest } = digestImage(root, undefined, (chunk) => writeAll(fd, chunk));
      if (digests === 'all') requireDigest(commit, digest);
      fchmodSync(fd, 0o644);
    } finally {
      closeSync(fd);
    }
    enableVerityOn(repo, temporary);
    try {
      renameSync(fsPath(temporary), fsPath(destination));
    } catch (error) {
      throw ioError('renameat', error);
    }
  } catch (error) {
    unlinkSync(fsPath(temporary));
    throw error;
  } finally {
    forgetTemporary(temporary);
  }
}

async function digestedReader(repo: Repo, commit: Commit, cache: boolean): Promise<ComposefsReader> {
  if (!cache) return soundReader(await examineTree(repo, commit));
  const facts = ObjectFacts.open(repo);
  const objects = openSync(
    fsPath(byteString(`${repo.path}/objects`)),
    constants.O_RDONLY | constants.O_DIRECTORY,
  );
  try {
    const index = new ObjectIndex({ objects, mode: repo.mode }, facts.size);
    const known = (checksum: string) => {
      const file = facts.find(checksum);
      return file !== undefined && index.hasFile(Buffer.from(checksum, 'hex')) ? file : undefined;
    };
    const tree = await examineTree(repo, commit, () => {}, known);
    const reader = soundReader(tree);
    for (const [checksum, file] of tree.files) if (file !== undefined) facts.add(checksum, file);
    facts.save((checksum) => repo.hasOwnObject('file', checksum));
    return reader;
  } finally {
    closeSync(objects);
  }
}

function soundReader({ faults, reader }: ExaminedTree): ComposefsReader {
  const [first] = faults;
  if (first === undefined) return reader;
  const message = `Checking out composefs: Processing ${first.checksum}: ${first.fault}`;
  throw new SealtreeError('mismatch', message, { object: `${first.checksum}.${first.type}` });
}

function plainReader(repo: Repo, measured: boolean): ComposefsReader {
  return {
    dirtree: (checksum) => repo.dirtree(checksum),
    dirmeta: (checksum) => repo.dirmeta(checksum),
    file(checksum) {
      try {
        const { header, size, contentFile } = repo.file(checksum);
        const verity =
          measured && contentFile !== undefined && size > 0 ? measured256(contentFile) : undefined;
        return { header, size, verity };
      } catch (error) {
        throw prefixed(`Checking out composefs: Processing ${checksum}`, error);
      }
    },
  };
}

/** The digest that the kernel enforces, of the kind that images carry. */
function measured256(path: ByteString): string | undefined {
  const digest = nodeSystem.examineVerity(path)?.digest;
  if (digest === undefined || digest === 'off' || digest.algorithm !== 'sha256') return undefined;
  return hexOf(digest.digest);
}

function requireDigest(commit: Commit, found: string): void {
  const expected = composefsDigest(commit);
  if (expected === undefined || expected === found) return;
  const message = `Generated composefs image digest (${found}) doesn't match expected digest (${expected})`;
  throw new SealtreeError('mismatch', message, { expected, found });
}

/** As the repository's `ex-integrity` says; the kernel does so only for files that nobody has open for writing. */
function enableVerityOn(repo: Repo, path: ByteString): void {
  const { verity } = writeSettings(repo.config);
  if (verity === 'no') return;
  const fd = openSync(fsPath(path), constants.O_RDONLY);
  try {
    enableVerity(fd, verityParameters());
  } catch (error) {
    const unsupported = isErrno(error, 'ENOTTY', 'EOPNOTSUPP');
    if (!unsupported) throw ioError('fsverity: ioctl(FS_IOC_ENABLE_VERITY)', error);
    if (verity === 'yes') {
      throw new SealtreeError('unsupported', 'fsverity required but filesystem does not support it');
    }
  } finally {
    closeSync(fd);
  }
}
