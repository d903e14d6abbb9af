import { spawnSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SealtreeError } from '../../src/core/errors.ts';
import { unpack } from '../../src/initramfs/archives.ts';
import { decompress } from '../../src/initramfs/decompress.ts';
import { zstdFrameLength } from '../../src/initramfs/zstd-frame.ts';
import { requires } from '../requires.ts';
import { directory, file, gzip, listing, member, neverCompressed, padded, TRAILER } from './newc.ts';

const archive = (...members: Buffer[]) => Buffer.concat([...members, TRAILER]);
const program = (command: string, args: string[], input: Uint8Array) =>
  spawnSync(command, args, { input, maxBuffer: 2 ** 30 }).stdout;

describe('an image of several archives', () => {
  it('is unpacked one over the other, with zero bytes of any number between them', () => {
    const early = padded(archive(directory('kernel'), file('kernel/microcode', 'm')), 512);
    const main = gzip(archive(file('a', '1'), file('b', '1')));
    const late = archive(file('b', '2'));
    const image = Buffer.concat([early, main, padded(main).subarray(main.length), late]);
    const shifted = Buffer.concat([early, Buffer.alloc(4), main, Buffer.alloc(8 - (main.length % 4)), late]);
    for (const bytes of [image, shifted]) {
      const { archives, root } = unpack(bytes, decompress);
      expect(archives.map(({ compression, members }) => [compression, members])).toEqual([
        ['none', 2],
        ['gzip', 2],
        ['none', 1],
      ]);
      expect(archives[0]).toMatchObject({ offset: 0 });
      expect(archives[1]?.length).toBe(main.length);
      expect(listing(root)).toEqual(['/a: 1', '/b: 2', '/kernel/', '/kernel/microcode: m']);
    }
  });

  it('may have several archives in one that is compressed, and none needs a trailer', () => {
    const image = gzip(archive(file('a', '1')), Buffer.alloc(512), file('b', '2'));
    expect(listing(unpack(image, decompress).root)).toEqual(['/a: 1', '/b: 2']);
  });

  it('takes a file name in a gzip header, and no other of its fields, as the kernel', () => {
    const plain = gzip(archive(file('a', '1')));
    const named = Buffer.concat([
      plain.subarray(0, 3),
      Buffer.from([8]),
      plain.subarray(4, 10),
      Buffer.from('n\0'),
      plain.subarray(10),
    ]);
    expect(listing(unpack(named, decompress).root)).toEqual(['/a: 1']);
    const extra = Buffer.concat([
      plain.subarray(0, 3),
      Buffer.from([4]),
      plain.subarray(4, 10),
      Buffer.from('\x01\0x', 'latin1'),
      plain.subarray(10),
    ]);
    expect(() => unpack(extra, decompress)).toThrow(
      'gzip archive at 0: a gzip header that the kernel does not read',
    );
  });

  it.each([
    ['nothing', Buffer.alloc(0), 'no archive in it'],
    ['zero bytes', Buffer.alloc(4096), 'no archive in it'],
    [
      'text',
      Buffer.from('hello world'),
      'at 0: neither a cpio archive nor a compression that the kernel knows',
    ],
    [
      'the old form',
      Buffer.from(`070707${'0'.repeat(200)}`),
      'archive: at 0: the old portable form of cpio, which the kernel does not read',
    ],
    [
      'an archive that is not aligned',
      Buffer.concat([Buffer.alloc(2), archive(file('a'))]),
      'at 2: an archive that does not begin at a multiple of four',
    ],
    ['a header that ends', archive(file('a')).subarray(0, 60), 'archive: at 0: the archive ends in a header'],
    [
      'a header of other characters',
      Buffer.from(`070701${'z'.repeat(104)}`),
      'archive: at 0: the header has something else than hexadecimal digits',
    ],
    [
      'content that ends',
      file('a', 'content').subarray(0, -8),
      'archive: at 0: the archive ends in a member of 7 bytes',
    ],
    [
      'content of 4 GiB',
      file('a', '', { size: 0xffffffff }),
      'archive: at 0: the archive ends in a member of 4294967295 bytes',
    ],
    [
      'an endless name',
      file('a', '', { nameSize: 4097 }),
      'archive: at 0: a name of 4097 bytes, 1 to 4096 are allowed',
    ],
    ['no name', file('a', '', { nameSize: 0 }), 'archive: at 0: a name of 0 bytes, 1 to 4096 are allowed'],
    ['a name without end', file('abc', '', { nameSize: 3 }), 'archive: at 0: a name without its end'],
    [
      'a wrong checksum',
      member('a', 'xyz', { magic: '070702', checksum: 1 }),
      'archive: at 0: content that has not the checksum of its header',
    ],
    [
      'content in a directory',
      member('d', 'content', { mode: 0o40755 }),
      'archive: at 0: content of 7 bytes in what can have none, or not so much',
    ],
    [
      'something behind',
      Buffer.concat([archive(file('a')), Buffer.from('junk')]),
      /^at \d+: neither a cpio archive/,
    ],
    [
      'something inside',
      gzip(archive(file('a')), Buffer.from('junk')),
      /^gzip archive at 0: at \d+: neither a member nor zero bytes$/,
    ],
    ['gzip that ends', gzip(archive(file('a'))).subarray(0, -20), /^gzip archive at 0: /],
    [
      'gzip without checksum',
      gzip(archive(file('a'))).subarray(0, -4),
      'gzip archive at 0: the checksum at the end is missing',
    ],
    [
      'lz4',
      Buffer.from('02214c18', 'hex'),
      'at 0: compressed with lz4, of which only gzip, zstd, xz are read here',
    ],
    [
      'zstd that ends',
      Buffer.from('28b52ffd', 'hex'),
      'zstd archive at 0: zstd: the frame at 0 does not end',
    ],
    ['no zstd block', Buffer.from('28b52ffd200106ffffff', 'hex'), 'zstd archive at 0: zstd: no block at 6'],
  ])('is refused if it is %s', (_, image, message) => {
    expect(() => unpack(image, decompress)).toThrow(message);
  });

  it('has a checksum that counts where the kernel counts it', () => {
    const image = archive(member('a', 'xyz', { magic: '070702', checksum: 0x78 + 0x79 + 0x7a }));
    expect(listing(unpack(image, decompress).root)).toEqual(['/a: xyz']);
  });

  it('is refused before more than a GiB is decompressed, and with too many members', () => {
    const bomb = gzipSync(Buffer.alloc(64 * 2 ** 20));
    const limit = 2 ** 20;
    expect(() => decompress('gzip', bomb, 0, limit)).toThrow(`decompresses to more than ${limit} bytes`);
    const one = file('a');
    const many = Buffer.alloc(one.length * 300_000, one);
    expect(() => unpack(many, neverCompressed)).toThrow('more than 262144 members');
  });

  it('is read or refused, whatever is damaged in it', () => {
    const whole = Buffer.concat([
      padded(archive(directory('d'), file('d/a', 'text')), 512),
      gzip(archive(file('b', '2'))),
    ]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 6 }),
        fc.nat(whole.length),
        (changes, length) => {
          const image = Buffer.from(whole.subarray(0, length));
          for (const [at, byte] of changes) if (at < length) image[at] = byte;
          expectReadOrRefused(image);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('is read or refused, whatever the members are', () => {
    const name = fc
      .array(fc.constantFrom('a', 'b', '..', '.', '', 'usr'), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join('/'));
    const oneMember = fc
      .tuple(name, fc.constantFrom(0o100644, 0o40755, 0o120777, 0o20600, 0), name, fc.nat(2), fc.nat(3))
      .map(([path, mode, data, inode, nlink]) =>
        member(path, mode === 0o40755 ? '' : data, { mode, inode, nlink }),
      );
    fc.assert(
      fc.property(fc.array(fc.oneof(oneMember, fc.constant(TRAILER)), { maxLength: 20 }), (members) => {
        expectReadOrRefused(Buffer.concat([file('first'), ...members]));
      }),
      { numRuns: 1000 },
    );
  });
});

requires({ programs: ['zstd', 'xz', 'cpio'] }).describe('what the programs write', () => {
  const content = archive(directory('d'), file('d/a', 'text'.repeat(1000)));

  it.each([
    ['zstd', ['-q', '-19']],
    ['zstd', ['-q', '--no-check']],
    ['zstd', ['-q', '-T2', '--long=27']],
    ['xz', ['--check=crc32', '-q']],
  ])('is read: %s %j, also behind another archive', (name, args) => {
    const image = Buffer.concat([
      padded(archive(file('early', 'e')), 512),
      program(name, args, content),
      Buffer.alloc(8),
    ]);
    const { archives, root } = unpack(image, decompress);
    expect(archives.map(({ compression }) => compression)).toEqual(['none', name]);
    expect(listing(root)).toEqual([`/d/`, `/d/a: ${'text'.repeat(1000)}`, '/early: e']);
  });

  it('ends where zstd says that it ends, for any content', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 5000 }),
        fc.uint8Array({ maxLength: 50 }),
        fc.constantFrom('-1', '--no-check', '-9'),
        (data, behind, option) => {
          const frame = program('zstd', ['-q', option], data);
          expect(zstdFrameLength(Buffer.concat([behind, frame, behind]), behind.length)).toBe(frame.length);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('is read on if another archive follows it', () => {
    const frame = program('zstd', ['-q'], content);
    const image = Buffer.concat([
      frame,
      frame.subarray(0, 0),
      program('zstd', ['-q'], archive(file('e', '1'))),
    ]);
    expect(listing(unpack(image, decompress).root)).toContain('/e: 1');
  });

  it('is refused if it is damaged, or goes on in a way that the kernel does not read', () => {
    const frame = Buffer.from(program('zstd', ['-q'], content));
    frame[20] = (frame[20] as number) ^ 0xff;
    expect(() => unpack(frame, decompress)).toThrow(/^zstd archive at 0: /);
    const xz = program('xz', ['-q'], content);
    expect(() => unpack(Buffer.concat([xz, content]), decompress)).toThrow(/^xz archive at 0: /);
  });

  it('is what cpio packs, with checksums too', () => {
    for (const format of ['newc', 'crc']) {
      const script = `
        set -e; cd "$(mktemp -d)"; mkdir -p usr/lib; echo hello >usr/lib/a; ln usr/lib/a usr/lib/b; ln -s usr/lib lib
        find . | LC_ALL=C sort | cpio --quiet -o -H ${format}; rm -r "$PWD"`;
      const image = program('sh', ['-c', script], Buffer.alloc(0));
      expect(listing(unpack(image, neverCompressed).root)).toEqual([
        '/lib -> usr/lib',
        '/usr/',
        '/usr/lib/',
        '/usr/lib/a: hello\n',
        '/usr/lib/b: hello\n',
      ]);
    }
  });
});

function expectReadOrRefused(image: Buffer): void {
  try {
    listing(unpack(image, decompress).root);
  } catch (error) {
    expect(error).toBeInstanceOf(SealtreeError);
    expect((error as SealtreeError).code).toMatch(/^(malformed|unsupported)$/);
  }
}
