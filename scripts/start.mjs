// `npm start [-- TREE]`: installs what is locked, builds, and shows the whole path on a real tree.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
ensureInstalled(root);
const built = spawnSync(process.execPath, [join(root, 'scripts/build.mjs')], { stdio: 'inherit' });
if (built.status !== 0) process.exit(1);
const { tour } = await import('./tour.mjs');
process.exitCode = await tour(root, process.argv.slice(2));
