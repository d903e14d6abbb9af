/** The native part as it is built, loaded and called. @module */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadNative } from '../../src/node/native.ts';
import { vectorBytes } from '../core/verity/vector-bytes.ts';
import { builtNative } from '../native-part.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface BuildOptions {
  readonly compiler?: string;
  readonly target: string;
  readonly flags?: readonly string[];
}

/** That of scripts/native.mjs. @returns undefined, or why it failed */
let buildNative: (root: string, options: BuildOptions) => string | undefined;

describe('the native part', () => {
  let scratch: string;
  beforeAll(async () => {
    ({ buildNative } = await import(new URL('../../scripts/native.mjs', import.meta.url).href));
    scratch = scratchDirectory('native');
  });
  afterAll(() => removeDirectory(scratch));

  it('is there wherever the tests run', () => {
    expect(Object.keys(builtNative())).toContain('hashBlocks');
  });

  it('compiles without a warning', () => {
    const flags = [
      '-Wall',
      '-Wextra',
      '-Werror',
      '-Wshadow',
      '-Wvla',
      '-Wstrict-prototypes',
      '-Wmissing-prototypes',
    ];
    expect(buildNative(root, { target: join(scratch, 'strict.node'), flags })).toBeUndefined();
  });

  it('is left out where there is no compiler, or one that fails', () => {
    const target = join(scratch, 'none.node');
    expect(buildNative(root, { target, compiler: '/nowhere/cc' })).toContain('ENOENT');
    expect(buildNative(root, { target, flags: ['-include', '/nowhere.h'] })).toContain('error');
    expect([existsSync(target), readdirSync(scratch).filter((name) => name.startsWith('none'))]).toEqual([
      false,
      [],
    ]);
    expect(loadNative(target)).toBeUndefined();
  });

  it('is left out if it cannot be loaded', () => {
    const file = join(scratch, 'broken.node');
    writeFileSync(file, 'not a library');
    expect(loadNative(file)).toBeUndefined();
  });

  it('hashes blocks of every number and size, with every salt', () => {
    const part = builtNative();
    const sizes = [64, 128, 256, 1024, 4096, 4160, 65536];
    fc.assert(
      fc.property(
        fc.constantFrom(...sizes),
        fc.nat(40),
        fc.oneof(fc.nat(256), fc.constantFrom(0, 64, 128)),
        fc.nat(70),
        fc.nat(9),
        (size, count, saltSize, offset, at) => {
          const data = vectorBytes(offset + count * size).subarray(offset);
          const salt = vectorBytes(saltSize + 3).subarray(3);
          const target = new Uint8Array(at + count * 32 + 4).fill(0xee);
          part.hashBlocks(data, size, target, at, salt);
          const digests = Array.from({ length: count }, (_, i) =>
            createHash('sha256')
              .update(salt)
              .update(data.subarray(i * size, (i + 1) * size))
              .digest('hex'),
          );
          expect(Buffer.from(target).toString('hex')).toBe(`${'ee'.repeat(at)}${digests.join('')}eeeeeeee`);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('refuses what it cannot take, before it touches memory', () => {
    const part = builtNative();
    const none = new Uint8Array(0);
    const block = new Uint8Array(4096);
    const digester = part.digester(4096, none, 1, 0);
    const content = part.contentHash();
    const loose = part as unknown as Record<string, (...args: unknown[]) => void>;
    const calls: [string, ...unknown[]][] = [
      ['hashBlocks'],
      ['hashBlocks', block, 4096, block],
      ['hashBlocks', 'text', 4096, block, 0, none],
      ['hashBlocks', block, 100, block, 0, none],
      ['hashBlocks', block, 0, block, 0, none],
      ['hashBlocks', block, -64, block, 0, none],
      ['hashBlocks', block, Number.NaN, block, 0, none],
      ['hashBlocks', block, 4096, block, 4065, none],
      ['hashBlocks', block, 4096, block, -1, none],
      ['hashBlocks', block, 4096, block, Number.NaN, none],
      ['contentBegin', {}, none, 1],
      ['contentAdd', content, block, 0, 4097],
      ['contentAdd', content, block, Number.NaN, 1],
      ['contentEnd', 1],
      ['digester', 512, none, 1, 0],
      ['digester', 5000, none, 1, 0],
      ['digester', 4096, new Uint8Array(33), 1, 0],
      ['digester', 4096, none, 0, 0],
      ['digester', 4096, none, 1e9, 0],
      ['addFile', digester, 0, '/', 0, -1, 0, 0, 0, 0],
      ['addFile', digester, 0, '/', 1, 65, 0, 0, 0, 0],
      ['addFile', digester, 0, 'a\0b', 0, 1, 0, 0, 0, 0],
      ['addFile', digester, 0, 7, 0, 1, 0, 0, 0, 0],
      ['scan', digester, 0, 'a\0b', 0, 0, 0, 0],
      ['help', null],
    ];
    for (const [name, ...args] of calls) expect(() => loose[name]?.(...args), name).toThrow();
    part.close(digester);
    part.close(digester);
    expect(() => part.help(digester)).toThrow();
    expect(() => part.settled(digester)).toThrow();
  });
});
