/** What the program says is the same with the native part, without it and with any number of threads. @module */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { vectorBytes } from '../core/verity/vector-bytes.ts';
import { type Program, sealtree, sealtreeOk } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const THREADS = [1, 2, 5];
const WITHOUT = { SEALTREE_NATIVE: '0' };

describe('with and without the native part', () => {
  let scratch: string;
  let tree: string;
  beforeAll(() => {
    scratch = scratchDirectory('native-cli');
    tree = join(scratch, 'tree');
    for (let i = 0; i < 40; i++) {
      const directory = join(tree, `d${i % 7}`, `e${i}`);
      mkdirSync(directory, { recursive: true });
      for (let k = 0; k < 25; k++)
        writeFileSync(join(directory, `f${k}`), vectorBytes((i * k * 137) % 40_000));
      symlinkSync(`../e${i}/f1`, join(directory, 'link'));
    }
    writeFileSync(join(tree, 'large'), vectorBytes(13_000_000));
    writeFileSync(Buffer.from(`${tree}/\xe9\xff`, 'latin1'), 'a name that is not UTF-8');
  });
  afterAll(() => removeDirectory(scratch));

  const outcome = (program: Program, args: string[], env: Record<string, string>) => {
    const { stdout, stderr, status } = sealtree(args, { program, env, cwd: scratch });
    return { stdout, stderr, status };
  };

  it('a directory becomes the same image, and fills the same store', () => {
    const images = [{}, WITHOUT].flatMap((env) =>
      THREADS.map((threads) => {
        const image = join(scratch, 'image');
        const store = join(scratch, `store${threads}${'SEALTREE_NATIVE' in env}`);
        const args = ['--print-digest', `--threads=${threads}`, `--digest-store=${store}`, tree, image];
        const digest = sealtreeOk(args, { program: 'mkcomposefs', env });
        const again = sealtreeOk(['--print-digest-only', store], { program: 'mkcomposefs', env });
        return { digest, bytes: readFileSync(image).toString('latin1'), files: again.length };
      }),
    );
    for (const image of images) expect(image).toEqual(images[0]);
  });

  it.each([
    ['mkcomposefs', ['--print-digest-only', 'none']],
    ['mkcomposefs', ['--print-digest-only', 'tree/large']],
    ['mkcomposefs', ['--print-digest-only', '--skip-xattrs', '--use-epoch', 'tree']],
    ['fsverity', ['digest', 'tree/large', 'tree/d1/e1/f2', 'tree/d1/e1/f0']],
    ['fsverity', ['digest', '--block-size=1024', '--salt=abcd', 'tree/large', 'tree/d1/e1/f2']],
    ['fsverity', ['digest', '--hash-alg=sha512', 'tree/large']],
    ['fsverity', ['digest', 'tree/d1/e1/f2', 'none']],
    ['fsverity', ['digest', 'tree']],
  ] as const)('%s %j says the same', (program, args) => {
    expect(outcome(program, [...args], {})).toEqual(outcome(program, [...args], WITHOUT));
  });
});
