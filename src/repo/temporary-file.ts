/**
 * Files that get their name when they are complete: without any name before that where the file system has O_TMPFILE,
 * else under a random one beside it.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { closeSync, constants } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { linkAt, linkat, openAt, renameat2, unlinkAt } from '../node/syscalls.ts';

const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY;

export interface TemporaryFile {
  /** Open for writing, mode 0600. */
  readonly fd: number;
  /** Undefined for a file without name. */
  readonly name: ByteString | undefined;
  /** Closes it; what has no other name by then is gone. */
  discard(): void;
}

/** A name that nobody has: `PREFIX` and 64 random bits. */
export function randomName(prefix: string): ByteString {
  return byteString(prefix + randomBytes(8).toString('hex'));
}

/** @param directory descriptor of the directory, or of another on the same file system, that the file is for */
export function openTemporary(directory: number): TemporaryFile {
  const open = (path: ByteString, flags: number) =>
    openAt(directory, path, flags | constants.O_WRONLY, 0o600);
  try {
    const fd = open(byteString('.'), O_TMPFILE);
    return { fd, name: undefined, discard: () => closeSync(fd) };
  } catch (error) {
    if (!isErrno(error, 'EOPNOTSUPP', 'EISDIR', 'ENOENT', 'EINVAL')) throw ioError('open(O_TMPFILE)', error);
  }
  const name = randomName('.tmp-');
  try {
    const fd = open(name, constants.O_CREAT | constants.O_EXCL);
    const discard = () => {
      closeSync(fd);
      unlinkAt(directory, name, { missing: true });
    };
    return { fd, name, discard };
  } catch (error) {
    throw ioError('openat', error);
  }
}

/**
 * Gives a temporary file of this directory a name in it. Fails with EEXIST if the name is taken and not to be replaced.
 *
 * @throws SealtreeError `io`
 */
export function linkTemporary(
  { fd, name: temporary }: TemporaryFile,
  directory: number,
  name: ByteString,
  replace: boolean,
): void {
  if (!replace) {
    linkAs(fd, temporary, directory, name);
    return;
  }
  let from = temporary;
  if (from === undefined) {
    from = randomName('.tmp-');
    linkAs(fd, undefined, directory, from);
  }
  try {
    renameat2(from, name, 'replace', [directory, directory]);
  } catch (error) {
    unlinkAt(directory, from, { missing: true });
    throw ioError('renameat', error);
  }
}

function linkAs(fd: number, temporary: ByteString | undefined, directory: number, name: ByteString): void {
  try {
    if (temporary === undefined) linkat(fd, name, directory);
    else linkAt(directory, temporary, directory, name);
  } catch (error) {
    throw ioError('linkat', error);
  }
}
