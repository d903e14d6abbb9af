// Bundles the program into dist/: sealtree.js, which loads tools.js with its chunks for verbs, or mkcomposefs.cjs; and the
// workers. Beside them the
// sources of the boot program, as `sealtree initramfs build` compiles them: one script, and its C.
import { chmodSync, copyFileSync, readFileSync, rmSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
ensureInstalled(root);
const { build } = await import('esbuild');

const JOBS = ['commit', 'digest-store', 'examine', 'fsck', 'verity'];

rmSync(`${root}dist`, { recursive: true, force: true });
const forNode = {
  absWorkingDir: root,
  outdir: 'dist',
  bundle: true,
  platform: 'node',
  target: 'node20',
  external: ['koffi'],
  define: { SEALTREE_VERSION: JSON.stringify(version) },
};
await build({ ...forNode, entryPoints: { sealtree: 'src/cli/main.ts' }, format: 'esm' });
const tools = {
  ...forNode,
  entryPoints: { tools: 'src/cli/tools.ts' },
  format: 'esm',
  splitting: true,
  chunkNames: 'chunk-[hash]',
  // commander is CommonJS and asks for Node's modules by require.
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
  },
};
await build({
  ...tools,
  plugins: [sharing((await build({ ...tools, write: false, metafile: true })).metafile)],
});
// One file each, as CommonJS: Node loads it in half the time.
await build({
  ...forNode,
  entryPoints: {
    mkcomposefs: 'src/cli/mkcomposefs-tool.ts',
    ...Object.fromEntries(JOBS.map((job) => [`worker-${job}`, `src/workers/${job}.ts`])),
  },
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  define: { ...forNode.define, 'import.meta.url': 'thisFile' },
  banner: { js: "const thisFile = require('node:url').pathToFileURL(__filename).href;" },
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

/**
 * A plugin that brings the modules which at least a third of all verbs need into one file: split by who needs what they
 * would be dozens, and loading a file takes half a millisecond. For that every file that is loaded on its own has to
 * ask for all of these modules.
 */
function sharing({ inputs, outputs }) {
  const alone = Object.values(outputs).flatMap(({ entryPoint }) => entryPoint ?? []);
  const users = new Map();
  for (const entry of alone) {
    const reached = new Set([entry]);
    for (const path of reached) {
      for (const { path: imported, kind, external } of inputs[path].imports) {
        if (kind === 'import-statement' && !external) reached.add(imported);
      }
    }
    for (const path of reached) users.set(path, (users.get(path) ?? 0) + 1);
  }
  const shared = [...users.keys()].filter(
    (path) => path.startsWith('src/') && users.get(path) >= alone.length / 3,
  );
  return {
    name: 'sharing',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^shared-modules$/ }, ({ path }) => ({ path, namespace: 'shared' }));
      onLoad({ filter: /.*/, namespace: 'shared' }, () => ({
        contents: shared.map((path) => `import ${JSON.stringify(`./${path}`)};`).join('\n'),
        resolveDir: root,
      }));
      onLoad({ filter: /\/src\/.*\.ts$/ }, ({ path }) => {
        if (!alone.includes(relative(root, path))) return undefined;
        return { contents: `import 'shared-modules'; ${readFileSync(path, 'utf8')}`, loader: 'ts' };
      });
    },
  };
}
