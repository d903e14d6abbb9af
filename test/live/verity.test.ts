/** sealtree as veritysetup beside the real one: the same files, output, messages and statuses; each takes what the other made. */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect } from 'vitest';
import { vectorBytes } from '../core/verity/vector-bytes.ts';
import { real, realOk } from '../peers.ts';
import { requires } from '../requires.ts';
import { expectSuccess, type Ran, run, sealtree } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const { describe, it } = requires({ peers: true });
const UUID = '--uuid=12345678-9abc-def0-1234-56789abcdef0';
const scratch = scratchDirectory('live-verity');
const inputs = join(scratch, 'inputs');
let count = 0;
/** Nothing in it comes twice. */
const LARGE = Buffer.concat(
  Array.from({ length: 3125 }, (_, i) => createHash('sha256').update(`${i}`).digest()),
);

beforeAll(() => {
  mkdirSync(inputs);
  writeFileSync(join(inputs, 'empty'), '');
  writeFileSync(join(inputs, 'one'), vectorBytes(4096));
  writeFileSync(join(inputs, 'd'), vectorBytes(300_000));
  writeFileSync(join(inputs, 'big'), vectorBytes(1_500_000));
});
afterAll(() => removeDirectory(scratch));

/** A folder with the inputs, changed by `prepare`. */
function makeFolder(prepare: (folder: string) => void): string {
  const folder = join(scratch, String(count++));
  mkdirSync(folder);
  for (const name of readdirSync(inputs)) copyFileSync(join(inputs, name), join(folder, name));
  prepare(folder);
  return folder;
}

function filesOf(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder)
      .sort()
      .map((name) => [name, readFileSync(join(folder, name)).toString('base64')]),
  );
}

/** Runs both with the same arguments in folders of their own, which must be alike afterwards too. */
function compare(
  args: readonly string[],
  prepare: (folder: string) => void = () => {},
  { files = true } = {},
): Ran {
  const theirs = makeFolder(prepare);
  const ours = makeFolder(prepare);
  const expected = real('veritysetup', args, { cwd: theirs });
  const found = sealtree(args, { cwd: ours, program: 'veritysetup' });
  expect(found, args.join(' ')).toEqual(expected);
  if (files) expect(filesOf(ours), args.join(' ')).toEqual(filesOf(theirs));
  removeDirectory(theirs);
  removeDirectory(ours);
  return found;
}

/** Makes a device of `d` or `big` with the real tool. */
const made = (folder: string) => {
  const options = { cwd: folder };
  realOk(
    'veritysetup',
    ['format', 'd', 'h', UUID, '--salt=0011', '--fec-device=f', '--root-hash-file=r'],
    options,
  );
  const big = [
    'format',
    'big',
    'bh',
    UUID,
    '--salt=-',
    '--fec-device=bf',
    '--fec-roots=4',
    '--root-hash-file=br',
  ];
  realOk('veritysetup', [...big, '--data-block-size=1024', '--hash-block-size=1024'], options);
};

function changed(...places: readonly (readonly [name: string, at: number, length?: number])[]) {
  return (folder: string) => {
    made(folder);
    for (const [name, at, length = 1] of places) {
      const content = readFileSync(join(folder, name));
      for (let i = at; i < at + length; i++) content[i] = (content[i] as number) ^ 0x55;
      writeFileSync(join(folder, name), content);
    }
  };
}

function shortened(folder: string): void {
  made(folder);
  truncateSync(join(folder, 'd'), 20_000);
}

/** A test for each row, which begins with the words of the command line or is them. */
function rows<Row extends string | readonly [string, ...unknown[]]>(list: readonly Row[]) {
  return (title: string, body: (row: Row) => void) => {
    for (const [i, row] of list.entries()) {
      const words = typeof row === 'string' ? row : row[0];
      it(`${title} ${words} (${i})`, () => body(row));
    }
  };
}

describe('format', () => {
  it('makes the same of all parameters', () => {
    const parameters = fc.record({
      data: fc.constantFrom('one', 'd', 'd', 'big'),
      format: fc.constantFrom(0, 1),
      hash: fc.constantFrom(
        ...['sha256', 'SHA256', 'sha1', 'sha224', 'sha384', 'sha512', 'sha512-256', 'sha3-256', 'sha3-384'],
        ...['blake2b-512', 'blake2s-256', 'blake2b512', 'ripemd160', 'md5', 'md5-sha1', 'sm3', 'sha2-256'],
      ),
      dataBlock: fc.constantFrom(512, 1024, 2048, 4096, 8192),
      hashBlock: fc.constantFrom(512, 1024, 4096, 65536),
      salt: fc.oneof(
        fc.constant('-'),
        fc.uint8Array({ maxLength: 256 }).map((salt) => Buffer.from(salt).toString('hex')),
      ),
      offset: fc.constantFrom(0, 512, 4096, 5120, 70144),
      superblock: fc.boolean(),
      fec: fc.option(
        fc.record({ roots: fc.integer({ min: 2, max: 24 }), offset: fc.constantFrom(0, 512, 8192) }),
      ),
    });
    fc.assert(
      fc.property(parameters, (some) => {
        const dataBlock = some.fec === null ? some.dataBlock : some.hashBlock;
        // Without a tree the real one grows the file too little for its superblock, or far too much.
        fc.pre(!(some.data === 'one' && dataBlock >= 4096 && some.offset > 0));
        fc.pre(some.data !== 'one' || dataBlock <= 4096);
        const args = ['format', some.data, 'h', `--format=${some.format}`, `--hash=${some.hash}`];
        args.push(
          `--data-block-size=${dataBlock}`,
          `--hash-block-size=${some.hashBlock}`,
          `--salt=${some.salt}`,
        );
        args.push(
          `--hash-offset=${some.offset}`,
          some.superblock ? UUID : '--no-superblock',
          '--root-hash-file=r',
        );
        if (some.fec !== null)
          args.push('--fec-device=f', `--fec-roots=${some.fec.roots}`, `--fec-offset=${some.fec.offset}`);
        expect(compare(args).status).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  rows<[string, (folder: string) => void]>([
    [
      'd h --salt=- --fec-device=h --fec-offset=65536',
      (at) => writeFileSync(join(at, 'h'), Buffer.alloc(65536)),
    ],
    ['d h --salt=- --fec-device=f', (at) => writeFileSync(join(at, 'h'), Buffer.alloc(100_000, 'Z'))],
    [
      'big big --salt=- --data-blocks=300 --hash-offset=1228800 --fec-device=big --fec-offset=1392640',
      () => {},
    ],
    ['d h --salt=00 --uuid=12345678-9ABC-DEF0-1234-56789abcdef0 -v', () => {}],
    ['d h -h=sha1 -s-', () => {}],
    ['d h --salt=00 --root-hash-file=r', (at) => writeFileSync(join(at, 'r'), 'Z'.repeat(100))],
  ])('makes the same of', ([words, prepare]) => {
    expect(compare(['format', UUID, ...words.split(' ')], prepare).status).toBe(0);
  });

  rows<string>([
    ...['empty h', 'd h --data-blocks=1000', 'd h --data-blocks=99999999999999999', 'none h', '/dev/null h'],
    ...[
      '/var h',
      'd /var',
      'd /none/h',
      'd h --salt=abc -v',
      'd h --salt=zz',
      'd h --uuid=123 --salt=-',
      'd d',
    ],
    ...['d h --hash-offset=100', 'd h --fec-offset=100', 'd h --format=2', 'd h --hash-block-size=1000'],
    ...['d h --data-block-size=1048576', 'd h --hash=foo', 'd h --hash=shake128', 'd h --hash=RSA-SHA256'],
    ...['d h --fec-device=d --fec-offset=65536'],
  ])('refuses in the same words', (words) => {
    // The real one leaves the hash file that it has begun.
    expect(compare(['format', ...words.split(' ')], undefined, { files: false }).status).not.toBe(0);
  });
});

describe('verify', () => {
  const root = 'r';
  rows<[string, (folder: string) => void]>([
    ['d h --root-hash-file=r', made],
    ['d h --root-hash-file=r -v', made],
    ['d h 00', made],
    ['d h zz', made],
    ['d h', made],
    [`d h ${'00'.repeat(32)}`, made],
    [`d h ${'00'.repeat(32)} --fec-device=f`, made],
    ['d h --root-hash-file=/dev/null', made],
    ['d h --root-hash-file=empty', made],
    [`none h --root-hash-file=${root}`, made],
    [`d none --root-hash-file=${root}`, made],
    [`d d --root-hash-file=${root}`, made],
    [`d h --root-hash-file=${root} --fec-device=none -v`, made],
    [`d h --root-hash-file=${root} --no-superblock`, made],
    [`d h --root-hash-file=${root} --no-superblock --hash-offset=4096 --salt=0011`, made],
    [`d h --root-hash-file=${root} --uuid=x --data-blocks=3 --hash=sha1`, made],
    [`d h --root-hash-file=${root}`, changed(['d', 10_000])],
    [`d h --root-hash-file=${root} --fec-device=f`, changed(['d', 10_000])],
    [`d h --root-hash-file=${root} --fec-device=f`, changed(['d', 10_000, 20_000])],
    [`d h --root-hash-file=${root}`, changed(['h', 4100])],
    [`d h --root-hash-file=${root} --fec-device=f`, changed(['h', 4100])],
    [`d h --root-hash-file=${root}`, changed(['h', 8190])],
    [`d h --root-hash-file=${root} --fec-device=f`, changed(['h', 8190])],
    ['big bh --root-hash-file=br', made],
    ...[1024, 1055, 1056, 1100, 2048, 3000, 3072, 4000].map((at): [string, (folder: string) => void] => [
      'big bh --root-hash-file=br',
      changed(['bh', at]),
    ]),
    ['big bh --root-hash-file=br --fec-device=bf --fec-roots=4', changed(['bh', 5000], ['big', 1_400_000])],
    ['big bh --root-hash-file=br --fec-device=bf --fec-roots=4', changed(['big', 200_000, 3000], ['bf', 17])],
    ['big bh --root-hash-file=br --fec-device=bf --fec-roots=4', changed(['big', 200_000, 30_000])],
    ['d h --root-hash-file=r', shortened],
  ])('says the same of', ([words, prepare]) => {
    compare(['verify', ...words.split(' ')], prepare);
  });
});

describe('dump', () => {
  rows<string>([
    ...['h', 'bh', 'd -v', 'none', 'h --hash-offset=512', 'h --hash-offset=5', 'h --no-superblock'],
    ...['h --fec-device=f', 'bh --fec-device=bf --fec-roots=4', 'h --fec-device=f --fec-roots=0'],
    ...['h --fec-device=f --fec-offset=512', 'h --fec-device=h --fec-offset=8192', 'h --fec-device=none'],
  ])('says the same of', (words) => {
    compare(['dump', ...words.split(' ')], made);
  });
});

describe('the command line', () => {
  rows<string>([
    ...['', '--bogus', '-x', 'format', 'foo', 'format d h --hash', 'format d h --data-blocks=x', 'close'],
    ...[
      'format d h --data-blocks',
      'format d h --format=-1',
      'format d h --shared',
      'open a b',
      'create a b c',
    ],
    ...['open d name h 00 --cancel-deferred', 'format d h --no-superblock=1', 'format --ignore-corruption'],
    ...[
      'open d name h 00 --ignore-corruption --restart-on-corruption',
      'close x --deferred --cancel-deferred',
    ],
    ...['open d name h 00 --error-as-corruption', 'dump h --root-hash-file=r', 'verify d'],
  ])('is refused in the same words:', (words) => {
    compare(words.split(' ').filter(Boolean));
  });
});

it('a changed block of an image of mkfs.erofs is told by its file', () => {
  const folder = makeFolder((at) => {
    mkdirSync(join(at, 'tree/below'), { recursive: true });
    writeFileSync(join(at, 'tree/below/large'), LARGE);
    writeFileSync(join(at, 'tree/small'), 'Z'.repeat(100));
  });
  realOk('mkfs.erofs', ['-T0', 'image', 'tree'], { cwd: folder });
  realOk('mkfs.erofs', ['-T0', '--chunksize=8192', 'chunks', 'tree'], { cwd: folder });
  for (const [image, text, path] of [
    ['image', LARGE.subarray(50_000, 50_100), '/below/large'],
    ['image', Buffer.alloc(100, 'Z'), '/small'],
    ['chunks', LARGE.subarray(90_000, 90_100), '/below/large'],
  ] as const) {
    const content = readFileSync(join(folder, image));
    expectSuccess(sealtree(['verity', 'format', image, 'ih', '--root-hash-file=ir'], { cwd: folder }), []);
    const at = content.indexOf(text);
    content[at] = (content[at] as number) ^ 1;
    writeFileSync(join(folder, 'damaged'), content);
    const { stderr } = sealtree(['verity', 'verify', 'damaged', 'ih', '--root-hash-file=ir'], {
      cwd: folder,
    });
    expect(stderr).toMatch(/ belong to .* of its EROFS file system\n$/);
    expect(stderr).toMatch(new RegExp(`${path}[ ,]`));
  }
});

requires({ programs: ['mkfs.ext4'] }).it(
  'a changed block of an image of mkfs.ext4 is told by its file',
  () => {
    const folder = makeFolder((at) => {
      mkdirSync(join(at, 'tree/below'), { recursive: true });
      writeFileSync(join(at, 'tree/below/large'), LARGE);
    });
    const made = run(['mkfs.ext4', '-q', '-d', 'tree', 'image', '4M'], { cwd: folder });
    expectSuccess(made, ['mkfs.ext4']);
    expectSuccess(sealtree(['verity', 'format', 'image', 'ih', '--root-hash-file=ir'], { cwd: folder }), []);
    const content = readFileSync(join(folder, 'image'));
    for (const [at, words] of [
      [content.indexOf(LARGE.subarray(50_000, 50_100)), 'belong to /below/large of its ext4 file system'],
      [content.length - 1, 'belong to no file of its ext4 file system, but to its metadata or to nothing'],
    ] as const) {
      const damaged = Buffer.from(content);
      damaged[at] = (damaged[at] as number) ^ 1;
      writeFileSync(join(folder, 'damaged'), damaged);
      const { stderr } = sealtree(['verity', 'verify', 'damaged', 'ih', '--root-hash-file=ir'], {
        cwd: folder,
      });
      expect(stderr).toContain(words);
    }
  },
);
