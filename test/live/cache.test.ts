/** The cache in a repository that the real ostree works on too: it neither minds it nor takes it away. */
import { readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it as plainIt } from 'vitest';
import { realOk } from '../peers.ts';
import { requires } from '../requires.ts';
import { sealtree, sealtreeOk } from '../run.ts';
import { makeFiles, pattern, removeDirectory, scratchDirectory } from '../trees.ts';

const { it } = requires({ peers: true });

let scratch = '';
let tree = '';
beforeAll(async () => {
  scratch = scratchDirectory('cache');
  tree = makeFiles(join(scratch, 'tree'), 40);
  // Until its files are old enough to be remembered.
  await setTimeout(2_700);
});
afterAll(() => removeDirectory(scratch));

const OPTIONS = ['--branch=main', '--timestamp=@1', '--generate-composefs-metadata'];

for (const mode of ['archive', 'bare-user'] as const) {
  it(`survives the real ostree's commands on ${mode}, and leads to the commits that it makes`, () => {
    const repo = join(scratch, mode);
    const at = `--repo=${repo}`;
    const files = () => readdirSync(join(repo, 'tmp/cache/sealtree')).sort();
    sealtreeOk(['init', at, `--mode=${mode}`], { program: 'ostree' });
    const commit = (parent: string) =>
      sealtreeOk(['commit', at, ...OPTIONS, `--parent=${parent}`, tree], { program: 'ostree' }).trim();
    const first = commit('none');
    const cached = files();
    expect(cached).toHaveLength(3);
    expect(realOk('ostree', ['commit', at, ...OPTIONS, '--parent=none', tree]).trim()).toBe(first);
    expect(realOk('ostree', ['fsck', at])).toContain('no errors found');
    realOk('ostree', ['summary', '--update', at]);
    realOk('ostree', ['prune', at, '--refs-only']);
    realOk('ostree', ['checkout', '-U', at, 'main', join(scratch, `${mode}-checkout`)]);
    expect(files()).toEqual(cached);
    expect(commit('none')).toBe(first);

    // Another tree, all objects of the first pruned: what is remembered leads to nothing that is gone.
    const other = makeFiles(join(scratch, `${mode}-other`), 5, 77);
    realOk('ostree', ['commit', at, '--branch=other', other]);
    realOk('ostree', ['refs', at, '--delete', 'main']);
    realOk('ostree', ['prune', at, '--refs-only']);
    expect(files()).toEqual(cached);
    expect(sealtree(['fsck', at]).status).toBe(0);
    expect(commit('none')).toBe(first);
    expect(realOk('ostree', ['fsck', at])).toContain('no errors found');
  });
}

it('makes the commit that the real ostree makes after every kind of edit', async () => {
  const repo = join(scratch, 'edits');
  const theirs = join(scratch, 'edits-theirs');
  for (const path of [repo, theirs]) sealtreeOk(['init', `--repo=${path}`, '--mode=bare-user']);
  const own = makeFiles(join(scratch, 'edited'), 30);
  await setTimeout(2_700);
  const same = () => {
    const args = ['commit', '--orphan', '--timestamp=@1', '--generate-composefs-metadata', own];
    const ours = sealtreeOk([...args, `--repo=${repo}`], { program: 'ostree' });
    expect(ours).toBe(realOk('ostree', [...args, `--repo=${theirs}`]));
    return ours;
  };
  const seen = new Set([same(), same()]);
  expect(seen.size).toBe(1);
  const file = join(own, 'folder-2', 'inner-2', 'file-2');
  for (let round = 0; round < 4; round++) {
    writeFileSync(file, pattern(3_000, round));
    utimesSync(file, 1, 1);
    seen.add(same());
  }
  rmSync(join(own, 'folder-3'), { recursive: true });
  seen.add(same());
  expect(seen.size).toBe(6);
});

plainIt('needs nothing of a run before', () => {
  const repo = join(scratch, 'alone');
  sealtreeOk(['init', `--repo=${repo}`, '--mode=archive']);
  rmSync(join(repo, 'tmp'), { recursive: true });
  sealtreeOk(['commit', `--repo=${repo}`, ...OPTIONS, tree]);
  expect(sealtreeOk(['fsck', `--repo=${repo}`])).toContain('no errors found');
});
