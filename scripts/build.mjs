// Bundles the tool into dist/: sealtree.js, the workers, and chunks that are loaded when a verb needs them. Beside them the
// sources of the boot program, as `sealtree initramfs build` compiles them: one script, and its C.
import { chmodSync, copyFileSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
ensureInstalled(root);
const { build } = await import('esbuild');

rmSync(`${root}dist`, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: { sealtree: 'src/cli/main.ts', worker: 'src/node/worker.ts' },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: ['koffi'],
  // commander is CommonJS and asks for Node's modules by require.
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
  },
  define: { SEALTREE_VERSION: JSON.stringify(version) },
  chunkNames: 'chunk-[hash]',
});
await build({
  absWorkingDir: root,
  entryPoints: { 'prepare-root': 'initramfs/prepare-root.ts' },
  outdir: 'dist',
  bundle: true,
  // A script and no module: QuickJS evaluates modules by promises.
  format: 'iife',
  platform: 'neutral',
  mainFields: ['module', 'main'],
  target: 'es2022',
  define: { SEALTREE_PROGRAM: JSON.stringify(`sealtree ostree-prepare-root ${version}`) },
});
copyFileSync(`${root}initramfs/sys.c`, `${root}dist/prepare-root.c`);
chmodSync(`${root}dist/sealtree.js`, 0o755);
