/** Digests of files by threads of C and by workers' code, against the core; and files that do not stay as they were. @module */
import {
  appendFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../src/core/bytes/hex.ts';
import type { VerityOptions } from '../../src/core/verity/descriptor.ts';
import { verityDigest } from '../../src/core/verity/digest.ts';
import { makeFileDigester, PooledDigester } from '../../src/node/file-digester.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { ioError } from '../../src/node/io-error.ts';
import { useNative } from '../../src/node/native.ts';
import type { FileStamp } from '../../src/node/stable-read.ts';
import { AT_FDCWD, statAt } from '../../src/node/syscalls.ts';
import { vectorBytes } from '../core/verity/vector-bytes.ts';
import { WAYS } from '../native-part.ts';
import { run } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('digester');
});
afterAll(() => removeDirectory(scratch));

interface Wanted {
  readonly name: string;
  /** Status by which it was chosen; the one it has by default. */
  readonly stamp?: FileStamp;
  readonly content?: boolean;
}

interface Options extends VerityOptions {
  readonly follow?: boolean;
  readonly threads?: number;
}

/** What becomes of files of the scratch directory, or the failure. */
async function digestsOf(files: readonly Wanted[], { follow, threads = 1, ...verity }: Options = {}) {
  const results: string[] = [];
  const digester = makeFileDigester<number>({
    verity,
    pool: { threads },
    follow: follow ?? false,
    settle: (index, result) => {
      results[index] = result;
    },
    refuse: (index, error) => ioError(files[index]?.name as string, error),
  });
  try {
    for (const [index, { name, stamp, content }] of files.entries()) {
      const place = byteString(join(scratch, name));
      digester.add(index, place, stamp ?? statAt(AT_FDCWD, place), content);
      await digester.turn();
    }
    await digester.finish();
  } finally {
    await digester.close();
  }
  return results;
}

const expected = (data: Uint8Array, options?: VerityOptions) =>
  hexOf(verityDigest(opensslHash, data, options));

describe.each(WAYS)('files digested $way', ({ part }) => {
  beforeAll(() => useNative(part()));
  afterAll(() => useNative(undefined));

  const blockSizes = [1024, 2048, 4096, 8192, 16384, 32768, 65536];
  it.each(blockSizes.flatMap((size) => [[size, 'sha256'] as const, [size, 'sha512'] as const]))(
    'have their digests with blocks of %d bytes by %s',
    async (blockSize, algorithm) => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(40), fc.constantFrom(-1, 0, 1, 7)), { minLength: 1, maxLength: 5 }),
          fc.uint8Array({ maxLength: 32 }),
          async (sizes, salt) => {
            const options = { blockSize, algorithm, salt };
            const contents = sizes.map(([blocks, more]) =>
              vectorBytes(Math.max(0, blocks * blockSize + more)),
            );
            const files = contents.map((content, i) => {
              writeFileSync(join(scratch, `p${i}`), content);
              return { name: `p${i}` };
            });
            expect(await digestsOf(files, options)).toEqual(contents.map((data) => expected(data, options)));
          },
        ),
        { numRuns: 12 },
      );
    },
  );

  it('are as right when there are many, with small ones asked for their content', async () => {
    const contents = Array.from({ length: 1500 }, (_, i) =>
      vectorBytes(i % 3 === 0 ? i % 64 : (i * 37) % 9000),
    );
    const files = contents.map((data, i) => {
      writeFileSync(join(scratch, `m${i}`), data);
      return { name: `m${i}`, content: data.length <= 64 };
    });
    const results = await digestsOf(files, { threads: part() === undefined ? 1 : 3 });
    expect(results).toEqual(
      contents.map((data) => (data.length <= 64 ? Buffer.from(data).toString('latin1') : expected(data))),
    );
  });

  it.each([4 * 2 ** 20, 4 * 2 ** 20 + 1, 9_000_001, 21_000_000])(
    'of %d bytes are digested in parts',
    async (size) => {
      const data = vectorBytes(size);
      writeFileSync(join(scratch, 'large'), data);
      const threads = part() === undefined ? 1 : 4;
      const options = { blockSize: 65536, salt: vectorBytes(5) };
      expect(await digestsOf([{ name: 'large' }], { threads })).toEqual([expected(data)]);
      expect(await digestsOf([{ name: 'large' }], { ...options, threads })).toEqual([
        expected(data, options),
      ]);
    },
  );

  describe('and meanwhile', () => {
    const SIZE = 5000;
    const LARGE = 10_000_000;
    let small: FileStamp;
    let large: FileStamp;
    beforeEach(() => {
      rmSync(join(scratch, 'x'), { recursive: true, force: true });
      mkdirSync(join(scratch, 'x'));
      writeFileSync(join(scratch, 'x/small'), vectorBytes(SIZE));
      writeFileSync(join(scratch, 'x/large'), vectorBytes(LARGE));
      small = statAt(AT_FDCWD, byteString(join(scratch, 'x/small')));
      large = statAt(AT_FDCWD, byteString(join(scratch, 'x/large')));
    });
    const at = (name: string) => join(scratch, 'x', name);

    const changes: [what: string, change: (path: string) => void, message: string | RegExp][] = [
      ['gone', (path) => rmSync(path), 'No such file or directory'],
      [
        'truncated',
        (path) => truncateSync(path, 4500),
        /^file changed while it was read: it ends at 4500 bytes, not \d+$/,
      ],
      [
        'emptied',
        (path) => truncateSync(path, 0),
        /^file changed while it was read: it ends at 0 bytes, not \d+$|bytes, not/,
      ],
      [
        'longer',
        (path) => appendFileSync(path, 'x'),
        /^file changed while it was read: size is (5001, was 5000|10000001, was 10000000)$/,
      ],
      [
        'touched',
        (path) => utimesSync(path, 1, 1),
        'file changed while it was read: its times are not what they were',
      ],
      [
        'a symlink',
        (path) => replace(path, () => symlinkSync(`${path}.old`, path)),
        'Too many levels of symbolic links',
      ],
      ['a directory', (path) => replace(path, () => mkdirSync(path)), 'Is a directory'],
      ['a fifo', (path) => replace(path, () => run(['mkfifo', path])), 'Illegal seek'],
    ];
    it.each(changes)('found %s', async (_, change, message) => {
      change(at('small'));
      await expect(digestsOf([{ name: 'x/small', stamp: small }])).rejects.toMatchObject({ code: 'io' });
      await expect(digestsOf([{ name: 'x/small', stamp: small }])).rejects.toThrow(
        wordsOf('x/small', message),
      );
      change(at('large'));
      const many = [
        { name: 'x/large', stamp: large },
        { name: 'x/large', stamp: large },
      ];
      await expect(digestsOf(many, { threads: part() === undefined ? 1 : 4 })).rejects.toThrow(
        wordsOf('x/large', message),
      );
    });

    it('found unreadable: the file is named, and what was read before counts', async () => {
      // Reading a process's memory at 0 fails with EIO, as a bad disk does.
      symlinkSync('/proc/self/mem', at('bad'));
      const files = [
        { name: 'x/small' },
        { name: 'x/bad', stamp: { ...small, size: 4096 } },
        { name: 'x/small' },
      ];
      await expect(digestsOf(files, { follow: true })).rejects.toThrow('x/bad: Input/output error');
    });

    it('found behind a name that is no directory, or beyond what a path may be', async () => {
      const stamp = small;
      await expect(digestsOf([{ name: 'x/small/more', stamp }])).rejects.toThrow('Not a directory');
      const long = `x/${'d'.repeat(250)}/`.repeat(20);
      await expect(digestsOf([{ name: long, stamp }])).rejects.toThrow('File name too long');
    });

    it('read through symlinks if told to', async () => {
      symlinkSync('small', at('link'));
      const files = [{ name: 'x/link', stamp: small }];
      expect(await digestsOf(files, { follow: true })).toEqual([expected(vectorBytes(SIZE))]);
    });
  });

  it('end with their digester, whatever waits', async () => {
    const data = vectorBytes(100_000);
    writeFileSync(join(scratch, 'waiting'), data);
    const place = byteString(join(scratch, 'waiting'));
    const digester = makeFileDigester<number>({
      pool: { threads: part() === undefined ? 1 : 3 },
      settle: () => {},
      refuse: (_, error) => error,
    });
    for (let i = 0; i < 2000; i++) digester.add(i, place, statAt(AT_FDCWD, place));
    await digester.close();
  });
});

it('are left to others where the native part has not their hash', () => {
  useNative(WAYS[0]?.part());
  const options = { settle: () => {}, refuse: (_: unknown, error: unknown) => error };
  for (const verity of [{ algorithm: 'sha512' }, { blockSize: 512 }, { blockSize: 2 ** 17 }] as const) {
    expect(makeFileDigester({ ...options, verity })).toBeInstanceOf(PooledDigester);
  }
  useNative(undefined);
});

function replace(path: string, make: () => void): void {
  renameSync(path, `${path}.old`);
  make();
}

const wordsOf = (name: string, message: string | RegExp) =>
  typeof message === 'string'
    ? `${name}: ${message}`
    : new RegExp(message.source.replaceAll('^', `^${name}: `));
