/** Builds dist/ once before the tests that run it, and makes the links through which it is called. @module */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TOOLS } from '../../src/cli/tool-names.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

export default function setup(): (() => void) | undefined {
  if (process.env.SEALTREE_TEST_LINKS !== undefined) return undefined;
  if (isStale()) {
    const built = spawnSync(process.execPath, ['scripts/build.mjs'], { cwd: root, encoding: 'utf8' });
    if (built.status !== 0) throw new Error(`building dist failed:\n${built.stdout}${built.stderr}`);
  }
  const links = mkdtempSync(join(tmpdir(), 'sealtree-links-'));
  chmodSync(links, 0o755);
  for (const program of TOOLS) symlinkSync(join(root, 'dist/sealtree.js'), join(links, program));
  process.env.SEALTREE_TEST_LINKS = links;
  return () => {
    delete process.env.SEALTREE_TEST_LINKS;
    rmSync(links, { recursive: true, force: true });
  };
}

/** Whether anything that the bundle is made of changed after it was made. */
function isStale(): boolean {
  const bundle = statSync(join(root, 'dist/sealtree.js'), { throwIfNoEntry: false });
  if (bundle === undefined) return true;
  const inputs = ['src', 'scripts', 'initramfs'].flatMap((folder) => {
    const path = join(root, folder);
    if (statSync(path, { throwIfNoEntry: false }) === undefined) return [];
    return readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => join(path, name));
  });
  return [...inputs, join(root, 'package.json')].some((path) => statSync(path).mtimeMs > bundle.mtimeMs);
}
