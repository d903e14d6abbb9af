// Builds sealtree and runs bench/main.ts: `npm run bench [-- --quick] [-- PART-OF-A-NAME]`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
ensureInstalled(root);
const { build } = await import('esbuild');
const scratch = mkdtempSync(join(tmpdir(), 'sealtree-bench-'));
const main = join(scratch, 'main.mjs');
try {
  spawnSync(process.execPath, [join(root, 'scripts/build.mjs')], { stdio: 'inherit' });
  await build({
    entryPoints: [join(root, 'bench/main.ts')],
    outfile: main,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'warning',
  });
  const { status } = spawnSync(process.execPath, [main, root, ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
} finally {
  rmSync(scratch, { recursive: true });
}
