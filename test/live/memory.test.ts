/** Memory does not grow with the size of a file: a sparse one of 4 GiB, committed and sealed. */
import { once } from 'node:events';
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Program, sealtreeOk, startSealtree } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const LIMIT = 200 * 1024;

describe('a file of 4 GiB', () => {
  let scratch = '';
  let tree = '';
  beforeAll(() => {
    scratch = scratchDirectory('memory');
    tree = join(scratch, 'tree');
    mkdirSync(tree);
    const file = openSync(join(tree, 'large'), 'w');
    ftruncateSync(file, 4 * 2 ** 30);
    writeSync(file, 'near the end', 4 * 2 ** 30 - 100);
    closeSync(file);
  });
  afterAll(() => removeDirectory(scratch));

  for (const mode of ['archive', 'bare-user']) {
    it(`is committed to ${mode} within 200 MiB of resident memory`, async () => {
      const repo = join(scratch, mode);
      sealtreeOk(['init', `--repo=${repo}`, `--mode=${mode}`], { program: 'ostree' });
      const commit = ['commit', `--repo=${repo}`, '--branch=large', '--generate-composefs-metadata', tree];
      expect(await peakMemory('ostree', commit)).toBeLessThan(LIMIT);
      removeDirectory(repo);
    });
  }

  it('is measured within 200 MiB of resident memory', async () => {
    expect(await peakMemory('fsverity', ['digest', join(tree, 'large')])).toBeLessThan(LIMIT);
    expect(await peakMemory('mkcomposefs', ['--print-digest-only', tree])).toBeLessThan(LIMIT);
  });
});

/** Runs to the end, which must be a success. @returns the most memory that was resident, in KiB (VmHWM, proc(5)) */
async function peakMemory(program: Program, args: string[]): Promise<number> {
  const child = startSealtree(args, { program, stdio: ['ignore', 'ignore', 'inherit'] });
  const closed = once(child, 'close');
  let peak = 0;
  const timer = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'latin1');
      peak = Math.max(peak, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0));
    } catch {
      // It ended between two looks.
    }
  }, 20);
  const [status] = await closed;
  clearInterval(timer);
  expect(status).toBe(0);
  return peak;
}
