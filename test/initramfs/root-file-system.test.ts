import { describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { device, directory, file, listing, symlink, TRAILER, unpacked } from './newc.ts';

/** Expected: what the functions of init/initramfs.c in the name of each test do; test/boot asks a kernel for the same. */
describe('an initramfs as the kernel unpacks it', () => {
  it.each([
    {
      name: 'a later file takes the place of an earlier one (do_name: O_TRUNC)',
      members: [file('a', 'long content'), file('a', 'new')],
      expected: ['/a: new'],
    },
    {
      name: 'an empty later file empties it',
      members: [file('a', 'content'), file('a')],
      expected: ['/a: '],
    },
    {
      name: 'a file takes the place of a symlink and is not written through it (clean_path)',
      members: [file('target', 'old'), symlink('a', 'target'), file('a', 'new')],
      expected: ['/a: new', '/target: old'],
    },
    {
      name: 'a symlink takes the place of a file',
      members: [file('a', 'old'), symlink('a', 'b')],
      expected: ['/a -> b'],
    },
    {
      name: 'a directory takes the place of a symlink to a directory',
      members: [
        directory('usr'),
        directory('usr/lib'),
        file('usr/lib/x', '1'),
        symlink('lib', 'usr/lib'),
        directory('lib'),
      ],
      expected: ['/lib/', '/usr/', '/usr/lib/', '/usr/lib/x: 1'],
    },
    {
      name: 'a directory with a slash behind its name is the one behind the symlink',
      members: [directory('usr'), symlink('lib', 'usr'), directory('lib/'), file('lib/x', '1')],
      expected: ['/lib -> usr', '/usr/', '/usr/x: 1'],
    },
    {
      name: 'a directory that is there keeps what is in it',
      members: [directory('d'), file('d/x', '1'), directory('d', { mode: 0o40700 })],
      expected: ['/d/', '/d/x: 1'],
    },
    {
      name: 'nothing takes the place of a directory that is not empty (rmdir)',
      members: [directory('d'), file('d/x', '1'), file('d', 'file'), symlink('d', 'elsewhere')],
      expected: ['/d/', '/d/x: 1'],
    },
    {
      name: 'an empty directory gives way',
      members: [directory('d'), file('d', 'file')],
      expected: ['/d: file'],
    },
    {
      name: 'symlinks on the way are followed, absolute ones too',
      members: [directory('usr'), directory('usr/lib'), symlink('lib', '/usr/lib'), file('lib/x', '1')],
      expected: ['/lib -> /usr/lib', '/usr/', '/usr/lib/', '/usr/lib/x: 1'],
    },
    {
      name: 'a symlink counts from the moment it is there',
      members: [
        directory('a'),
        directory('b'),
        file('a/x', '1'),
        directory('c'),
        symlink('c/l', '../b'),
        file('c/l/y', '2'),
      ],
      expected: ['/a/', '/a/x: 1', '/b/', '/b/y: 2', '/c/', '/c/l -> ../b'],
    },
    {
      name: 'no path leads out of the root',
      members: [
        directory('d'),
        file('../../x', '1'),
        file('d/../../y', '2'),
        symlink('d/up', '../../..'),
        file('d/up/z', '3'),
      ],
      expected: ['/d/', '/d/up -> ../../..', '/x: 1', '/y: 2', '/z: 3'],
    },
    {
      name: 'nothing is made without its directory',
      members: [file('d/x', '1'), directory('e/f'), file('y', '2')],
      expected: ['/y: 2'],
    },
    {
      name: 'a loop of symlinks leads nowhere',
      members: [symlink('a', 'b'), symlink('b', 'a'), file('a/x', '1')],
      expected: ['/a -> b', '/b -> a'],
    },
    {
      name: 'names may begin with a slash or ./',
      members: [directory('/d'), file('./d/x', '1'), directory('.')],
      expected: ['/d/', '/d/x: 1'],
    },
    {
      name: 'links share their content, which the last one has (maybe_link)',
      members: [file('a', '', { inode: 5, nlink: 2 }), file('b', 'content', { inode: 5, nlink: 2 })],
      expected: ['/a: content', '/b: content'],
    },
    {
      name: 'an empty link leaves the content alone',
      members: [file('a', 'content', { inode: 5, nlink: 2 }), file('b', '', { inode: 5, nlink: 2 })],
      expected: ['/a: content', '/b: content'],
    },
    {
      name: 'a link takes the place of what is there',
      members: [
        file('b', 'old'),
        file('a', 'new', { inode: 5, nlink: 2 }),
        file('b', '', { inode: 5, nlink: 2 }),
      ],
      expected: ['/a: new', '/b: new'],
    },
    {
      name: 'a member after a link that is replaced leaves the other name alone',
      members: [
        file('a', 'one', { inode: 5, nlink: 2 }),
        file('b', '', { inode: 5, nlink: 2 }),
        symlink('b', 'x'),
        file('b', 'two', { inode: 9 }),
      ],
      expected: ['/a: one', '/b: two'],
    },
    {
      name: 'a file written over one of two links is written to both',
      members: [
        file('a', 'one', { inode: 5, nlink: 2 }),
        file('b', '', { inode: 5, nlink: 2 }),
        file('b', 'two', { inode: 9 }),
      ],
      expected: ['/a: two', '/b: two'],
    },
    {
      name: 'links end at the trailer (free_hash)',
      members: [file('a', '1', { inode: 5, nlink: 2 }), TRAILER, file('b', '2', { inode: 5, nlink: 2 })],
      expected: ['/a: 1', '/b: 2'],
    },
    {
      name: 'the first name of a link is looked up again',
      members: [
        directory('x'),
        directory('y'),
        file('y/a', 'other'),
        symlink('l', 'x'),
        file('l/a', 'one', { inode: 5, nlink: 2 }),
        symlink('l', 'y'),
        file('b', '', { inode: 5, nlink: 2 }),
      ],
      expected: ['/b: other', '/l -> y', '/x/', '/x/a: one', '/y/', '/y/a: other'],
    },
    {
      name: 'devices are there',
      members: [directory('dev'), device('dev/console'), device('dev/console')],
      expected: ['/dev/', '/dev/console (other)'],
    },
    {
      name: 'a target ends at its first zero byte',
      members: [symlink('a', 'target\0rest')],
      expected: ['/a -> target'],
    },
  ])('$name', ({ members, expected }) => {
    expect(listing(unpacked(...members, TRAILER))).toEqual(expected);
  });

  it('takes a slash at the end of a target for a demand', () => {
    const root = unpacked(
      file('f', '1'),
      symlink('a', 'f/'),
      symlink('b', 'f'),
      directory('d'),
      symlink('c', 'd/'),
    );
    expect(root.find(byteString('/a'))).toBeUndefined();
    expect(root.find(byteString('/b'))).toMatchObject({ kind: 'file' });
    expect(root.find(byteString('/c'))).toMatchObject({ kind: 'directory' });
    expect(root.findItself(byteString('/b/'))).toBeUndefined();
  });

  it('ends with an error where symlinks multiply lookups', () => {
    const long = 'd/../'.repeat(800);
    const members = [directory('d')];
    for (let i = 0; i < 40; i++) members.push(symlink(`l${i}`, `${long}${i === 0 ? '.' : `l${i - 1}`}`));
    for (let i = 0; i < 1000; i++) members.push(file(`l38/x${i}`));
    expect(() => unpacked(...members)).toThrow('too many symlinks lead through the archives');
  });
});
