// Compiles the native part (src/native) into dist/native.node where there is a C compiler; without it everything works,
// slower. Run by scripts/build.mjs, and by npm when the package is installed.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What the compiler is told; `-Wextra` and the like are for tests. */
const FLAGS = ['-O2', '-std=gnu11', '-shared', '-fPIC', '-fvisibility=hidden', '-pthread'];

/**
 * Compiles the native part.
 *
 * @returns undefined, or why that failed
 */
export function buildNative(
  root,
  { compiler = process.env.CC || 'cc', target = join(root, 'dist/native.node'), flags = [] } = {},
) {
  const folder = join(root, 'src/native');
  const sources = readdirSync(folder).filter((name) => name.endsWith('.c'));
  const temporary = `${target}.${process.pid}`;
  mkdirSync(join(target, '..'), { recursive: true });
  // From its folder, and with nothing of the machine in it: the same source gives the same file.
  const args = [...FLAGS, ...flags, '-o', temporary, ...sources];
  const { status, error, stderr } = spawnSync(compiler, args, { cwd: folder, encoding: 'utf8' });
  if (status === 0) renameSync(temporary, target);
  else rmSync(temporary, { force: true });
  return status === 0 ? undefined : (error?.message ?? stderr);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  buildNative(fileURLToPath(new URL('..', import.meta.url)));
