/** What `npm start` does once it has installed and built: scripts/tour.mjs. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { requires } from '../requires.ts';
import { run } from '../run.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PROGRAM = `
  const { tour } = await import(${JSON.stringify(new URL('../../scripts/tour.mjs', import.meta.url).href)});
  process.exitCode = await tour(${JSON.stringify(ROOT)}, process.argv.slice(1));`;

let folder: string;
let tree: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtree-tour-test-'));
  tree = join(folder, 'tree');
  for (const path of ['usr/share', 'dev', 'proc']) mkdirSync(join(tree, path), { recursive: true });
  writeFileSync(join(tree, 'usr/share/README'), 'read me\n');
  writeFileSync(join(tree, 'usr/share/data'), Buffer.alloc(100_000, 'data'));
  writeFileSync(join(tree, 'proc/version'), 'not of the tree');
});

afterEach(() => rmSync(folder, { recursive: true }));

function command(...words: string[]): string[] {
  return [process.execPath, '--input-type=module', '-e', PROGRAM, '--', ...words];
}

/** Folders that a tour has left behind. */
function leftovers(): string[] {
  return [join(ROOT, '.cache'), '/var/tmp', tmpdir()].flatMap((place) => {
    try {
      return readdirSync(place).filter((name) => /^sealtree-tour-\w{6}$/.test(name));
    } catch {
      return [];
    }
  });
}

describe('the tour', () => {
  it('goes from the tree to the refusal, and leaves nothing', () => {
    const before = leftovers();
    const { stdout, stderr, status } = run(command(tree));
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
    expect(stdout).toContain('Not taken, 1 path: what is in dev, proc, sys, run (/proc/version)\n');
    for (const part of [
      /^\$ sealtree init --repo=repo --mode=bare/m,
      /^\$ sealtree keys transient --public=\S+ -- sealtree commit .*--sign-fd=3$/m,
      /entries and .* were read\. The commit is [0-9a-f]{64}\.$/m,
      /^Signature verified/m,
      /^ {4}damaged: objects\/.*its checksum is/m,
      /^ {6,}\/usr\/share\/README$/m,
      /^Refused, with status 3, as it must be\.$/m,
    ]) {
      expect(stdout).toMatch(part);
    }
    expect(leftovers()).toEqual(before);
  });

  it('says which argument it does not understand', () => {
    expect(run(command('--nosuch'))).toMatchObject({ stderr: 'usage: npm start [-- TREE]\n', status: 2 });
    expect(run(command(join(folder, 'nosuch')))).toMatchObject({
      stderr: `${folder}/nosuch: not a folder\n`,
      status: 2,
    });
  });

  it('says where it looked for room if there is none', () => {
    const before = leftovers();
    truncateSync(join(tree, 'usr/share/data'), 2 ** 43);
    const { stderr, status } = run(command(tree));
    expect(status).toBe(1);
    expect(stderr).toMatch(/^No room for 8\.0 TiB: \S+ has .* free; .*\nTry a smaller tree: /);
    expect(leftovers()).toEqual(before);
  });

  it('leaves nothing when it is interrupted', async () => {
    const before = leftovers();
    const [program, ...args] = command(tree);
    const child = spawn(program as string, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout.on('data', (text) => {
      if (String(text).includes('$ sealtree keys transient')) child.kill('SIGINT');
    });
    const signal = await new Promise((resolve) => child.on('close', (_status, by) => resolve(by)));
    expect(signal).toBe('SIGINT');
    expect(leftovers()).toEqual(before);
  });
});

requires({ root: true, mount: ['overlay', 'erofs'] }).it(
  'as root the tour reads a file through the mount',
  () => {
    const { stdout } = run(command(tree));
    expect(stdout).toMatch(/^\$ cmp mnt\/usr\/share\/README .*\nThe same 8 bytes\.$/m);
  },
);
