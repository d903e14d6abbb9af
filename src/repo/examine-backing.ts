/** Examines the backing files of an image: each must have the fs-verity digest and size that the image names. @module */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { type Inode, isHardLink } from '../core/fs/file-tree.ts';
import { isRegular } from '../core/fs/mode.ts';
import { walkTree } from '../core/fs/walk.ts';
import type { Damage } from '../core/verify/report.ts';
import { makeFileDigester } from '../node/file-digester.ts';
import { ioError, isErrno } from '../node/io-error.ts';
import { AT_FDCWD, type FileStatus, statAt } from '../node/syscalls.ts';

interface Backing {
  readonly payload: ByteString;
  readonly size: number;
  readonly digest: string | undefined;
  readonly paths: ByteString[];
}

/** @param directories where the files are; the first that has one counts, as in overlayfs */
export async function examineBacking(
  root: Inode,
  directories: readonly ByteString[],
): Promise<{ count: number; damage: Damage[] }> {
  const files = backingFiles(root);
  const damage: Damage[] = [];
  const faulty = ({ paths }: Backing, place: ByteString, fault: string, found?: string, expected?: string) =>
    damage.push({
      object: place,
      fault,
      ...(expected === undefined ? {} : { expected }),
      ...(found === undefined ? {} : { found }),
      paths,
    });
  const digester = makeFileDigester<{ file: Backing; place: ByteString }>({
    settle: ({ file, place }, digest) => {
      if (digest !== file.digest)
        faulty(
          file,
          place,
          `fs-verity digest is ${digest}, the image names ${file.digest}`,
          digest,
          file.digest,
        );
    },
    refuse: ({ place }, error) => ioError(displayByteString(place), error),
  });
  try {
    for (const file of files) {
      const found = leadsOut(file.payload) ? undefined : locate(directories, file.payload);
      const place = found?.place ?? byteString(`${directories[0]}/${file.payload}`);
      if (leadsOut(file.payload)) faulty(file, place, 'the path leads out of its directory');
      else if (file.digest === undefined)
        faulty(file, place, 'the image names no digest for it: any content would do');
      else if (found === undefined) faulty(file, place, 'No such file or directory');
      else if (!isRegular(found.status.mode)) faulty(file, place, 'not a regular file');
      else if (found.status.size !== file.size)
        faulty(file, place, `size is ${found.status.size}, the image names ${file.size}`);
      else digester.add({ file, place }, place, found.status);
      await digester.turn();
    }
    await digester.finish();
  } finally {
    await digester.close();
  }
  return { count: files.length, damage: damage.sort((a, b) => (a.object < b.object ? -1 : 1)) };
}

/** Each file once for every way in which the image names it: two names of one path may want different digests. */
function backingFiles(root: Inode): Backing[] {
  const files = new Map<string, Backing>();
  walkTree(root, (path, entry) => {
    if (isHardLink(entry) || !isRegular(entry.mode) || entry.payload === undefined) return;
    const { payload, digest } = entry;
    const size = Number(entry.size);
    const key = `${digest ?? ''}/${size}/${payload}`;
    const known = files.get(key);
    if (known !== undefined) known.paths.push(path);
    else files.set(key, { payload, size, digest, paths: [path] });
  });
  return [...files.values()];
}

function locate(
  directories: readonly ByteString[],
  payload: ByteString,
): { place: ByteString; status: FileStatus } | undefined {
  for (const directory of directories) {
    const place = byteString(`${directory}/${payload}`);
    try {
      return { place, status: statAt(AT_FDCWD, place) };
    } catch (error) {
      if (!isErrno(error, 'ENOENT', 'ENOTDIR')) throw error;
    }
  }
  return undefined;
}

function leadsOut(payload: ByteString): boolean {
  return payload.split('/').includes('..');
}
