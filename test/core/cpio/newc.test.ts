/** Initramfs archives. That a kernel unpacks them: test/boot/seal.test.ts. */
import { describe, expect, it } from 'vitest';
import { byteString, bytesOf } from '../../../src/core/bytes/byte-string.ts';
import { type CpioMember, encodeCpio } from '../../../src/core/cpio/newc.ts';
import { unpack } from '../../../src/initramfs/archives.ts';
import { requires } from '../../requires.ts';
import { run } from '../../run.ts';

const member = (path: string, mode: number, data: string): CpioMember => ({
  path: byteString(path),
  mode,
  data: bytesOf(byteString(data)),
});

const MEMBERS = [
  member('usr/lib/b', 0o100644, 'content'),
  member('init', 0o120777, '/usr/lib/b'),
  member('usr/a', 0o100755, ''),
];

describe('encodeCpio', () => {
  it('adds the directories that lead to its members', () => {
    const { root } = unpack(encodeCpio(MEMBERS), () => {
      throw new Error('nothing is compressed');
    });
    expect(root.list(byteString('/usr'))?.map(String)).toEqual(['a', 'lib']);
    expect(root.find(byteString('/init'))).toMatchObject({ kind: 'file' });
    expect(root.findItself(byteString('/init'))).toMatchObject({ kind: 'symlink', target: '/usr/lib/b' });
  });

  it('gives the same bytes whatever the order of its members', () => {
    const once = encodeCpio(MEMBERS);
    expect(encodeCpio([...MEMBERS].reverse())).toEqual(once);
    expect(once.length % 4).toBe(0);
  });

  it('refuses a member without a path', () => {
    expect(() => encodeCpio([member('', 0o100644, '')])).toThrow('cannot be in an archive');
  });
});

const { it: itWithCpio } = requires({ programs: ['cpio'] });

itWithCpio('cpio lists what encodeCpio wrote', () => {
  const { stdout } = run(['cpio', '--list', '--verbose', '--numeric-uid-gid', '--quiet'], {
    input: encodeCpio(MEMBERS),
  });
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => line.replaceAll(/ +/g, ' '));
  expect(lines).toEqual([
    'lrwxrwxrwx 1 0 0 10 Jan 1 1970 init -> /usr/lib/b',
    'drwxr-xr-x 1 0 0 0 Jan 1 1970 usr',
    '-rwxr-xr-x 1 0 0 0 Jan 1 1970 usr/a',
    'drwxr-xr-x 1 0 0 0 Jan 1 1970 usr/lib',
    '-rw-r--r-- 1 0 0 7 Jan 1 1970 usr/lib/b',
  ]);
});
