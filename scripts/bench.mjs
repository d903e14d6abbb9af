// Builds sealtree and runs bench/main.ts with the words that follow: `npm run bench -- --quick`, `bench/profile WORD`.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
ensureInstalled(root);
const { build } = await import('esbuild');
const main = join(root, '.cache/bench.mjs');
const built = spawnSync(process.execPath, [join(root, 'scripts/build.mjs')], { stdio: 'inherit' });
if (built.status !== 0) process.exit(1);
await build({
  entryPoints: [join(root, 'bench/main.ts')],
  outfile: main,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
  logLevel: 'warning',
});
// It ends what it measures when it is interrupted, and this program waits for it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
const { status } = spawnSync(process.execPath, [main, root, ...process.argv.slice(2)], { stdio: 'inherit' });
process.exitCode = status ?? 1;
