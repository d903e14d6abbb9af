/** Commits that are killed, and commits at the same time. */
import { once } from 'node:events';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { realCommand, realOk } from '../peers.ts';
import { requires } from '../requires.ts';
import { link, sealtreeOk, start, startSealtree } from '../run.ts';
import { makeFiles, pattern, removeDirectory, scratchDirectory } from '../trees.ts';

const MOMENTS = 200;

let scratch = '';
beforeAll(() => {
  scratch = scratchDirectory('crash');
});
afterAll(() => removeDirectory(scratch));

describe('a commit that is killed', () => {
  const hasPeers = requires({ peers: true }).reason === undefined;

  // Two halves, so that a repository of each kind sees a hundred kills.
  for (const mode of ['archive', 'bare-user'] as const) {
    it(`at ${MOMENTS / 2} random moments leaves a valid ${mode} repository`, async () => {
      const repo = join(scratch, mode);
      const tree = makeFiles(join(scratch, `${mode}-tree`), 120);
      const ostree = (args: string[]) => sealtreeOk([`--repo=${repo}`, ...args], { program: 'ostree' });
      const commit = ['commit', `--repo=${repo}`, '--branch=main', '--generate-composefs-metadata', tree];
      ostree(['init', `--mode=${mode}`]);
      const before = performance.now();
      let acknowledged = sealtreeOk(commit, { program: 'ostree' }).trim();
      // The moments lie within the last commit that was let finish: how long one takes depends on the machine.
      let duration = performance.now() - before;
      const random = randomNumbers(mode.length);
      let killed = 0;
      for (let round = 1; killed < MOMENTS / 2; round++) {
        for (let i = 0; i < 30; i++) {
          writeFileSync(
            join(tree, `folder-${i % 7}`, `inner-${i % 3}`, `file-${i}`),
            pattern(5_000, round * 1000 + i),
          );
        }
        const child = startSealtree(commit, { program: 'ostree', stdio: ['ignore', 'pipe', 'ignore'] });
        let printed = '';
        child.stdout?.on('data', (data) => (printed += data));
        const closed = once(child, 'close');
        const started = performance.now();
        await Promise.race([setTimeout(random() * duration), closed]);
        child.kill('SIGKILL');
        const [status] = await closed;
        const head = ostree(['rev-parse', 'main']).trim();
        if (printed.endsWith('\n')) expect(head, `round ${round}`).toBe(printed.trim());
        else if (head !== acknowledged) expect(ostree(['rev-parse', 'main^']).trim()).toBe(acknowledged);
        acknowledged = head;
        if (status === null) killed++;
        else duration = performance.now() - started;
        expect(ostree(['fsck']), `round ${round}`).toContain('no errors found');
        if (hasPeers && round % 25 === 0) {
          expect(realOk('ostree', ['fsck', `--repo=${repo}`])).toContain('no errors found');
        }
      }
      expect(sealtreeOk(commit, { program: 'ostree' })).toMatch(/^[0-9a-f]{64}\n$/);
      expect(leftovers(repo)).toEqual([]);
      expect(ostree(['fsck'])).toContain('no errors found');
    });
  }

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    it(`by ${signal} leaves nothing behind`, async () => {
      const repo = join(scratch, signal);
      const tree = makeFiles(join(scratch, `${signal}-tree`), 600);
      sealtreeOk(['init', `--repo=${repo}`, '--mode=bare-user'], { program: 'ostree' });
      for (const delay of [60, 120, 200, 300, 450]) {
        const child = startSealtree(['commit', `--repo=${repo}`, '--branch=main', tree], {
          program: 'ostree',
        });
        const closed = once(child, 'close');
        await Promise.race([setTimeout(delay), closed]);
        child.kill(signal);
        await closed;
        expect(leftovers(repo)).toEqual([]);
      }
      expect(sealtreeOk(['fsck', `--repo=${repo}`], { program: 'ostree' })).toContain('no errors found');
    });
  }
});

describe('eight commits at once', () => {
  const needs = requires({ peers: true });

  for (const mode of ['archive', 'bare-user', 'bare-user-only'] as const) {
    needs.it(`to one ${mode} repository, ours and the real tool's mixed, all succeed`, async () => {
      const repo = join(scratch, `eight-${mode}`);
      sealtreeOk(['init', `--repo=${repo}`, `--mode=${mode}`], { program: 'ostree' });
      const runs = Array.from({ length: 8 }, (_, i) => {
        const tree = makeFiles(join(scratch, `eight-${mode}-tree-${i}`), 150, i % 3);
        const args = [
          'commit',
          `--repo=${repo}`,
          `--branch=branch-${i}`,
          '--generate-composefs-metadata',
          tree,
        ];
        return i % 2 === 0 ? realCommand('ostree', args) : [process.execPath, link('ostree'), ...args];
      });
      const ended = runs.map(async (command) => {
        const child = start(command as string[], { stdio: ['ignore', 'ignore', 'pipe'] });
        let errors = '';
        child.stderr?.on('data', (data) => (errors += data));
        const [status] = await once(child, 'close');
        return { status, errors };
      });
      expect(await Promise.all(ended)).toEqual(runs.map(() => ({ status: 0, errors: '' })));
      for (const fsck of [realOk, sealtreeOk]) {
        const options = { program: 'ostree' } as const;
        const args = ['fsck', `--repo=${repo}`];
        const output = fsck === realOk ? realOk('ostree', args) : sealtreeOk(args, options);
        expect(output).toContain('object fsck of 8 commits completed successfully');
      }
      const refs = sealtreeOk(['refs', `--repo=${repo}`], { program: 'ostree' });
      expect(refs.trim().split('\n').sort()).toEqual(runs.map((_, i) => `branch-${i}`));
      expect(leftovers(repo)).toEqual([]);
    });
  }
});

/** What is in a repository's folder for temporary files, but for the cache that ostree keeps there. */
function leftovers(repo: string): string[] {
  const folder = join(repo, 'tmp');
  return existsSync(folder) ? readdirSync(folder).filter((name) => name !== 'cache') : [];
}

/** Numbers in [0, 1) that are the same in every run. */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
