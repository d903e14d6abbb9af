// Bundles the program into dist/: sealtree.js, which loads tools.mjs with its chunks for verbs, or mkcomposefs.js; and the
// workers. Beside them the
// sources of the boot program, as `sealtree initramfs build` compiles them: one script, and its C.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { esmBundle } from './esm-bundle.mjs';
import { ensureInstalled } from './install.mjs';
import { buildNative } from './native.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'));
ensureInstalled(root);
const { build } = await import('esbuild');

const JOBS = ['blocks', 'checkout', 'commit', 'digest-store', 'examine', 'fsck', 'layer', 'verity'];

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
const tools = {
  ...forNode,
  entryPoints: { tools: 'src/cli/tools.ts' },
  ...esmBundle,
  outExtension: { '.js': '.mjs' },
  splitting: true,
  chunkNames: 'chunk-[hash]',
};
await build({
  ...tools,
  plugins: [sharing((await build({ ...tools, write: false, metafile: true })).metafile)],
});
// CommonJS, which Node loads in half the time, each in one file.
const script = {
  ...forNode,
  format: 'cjs',
  define: { ...forNode.define, 'import.meta.url': 'thisFile' },
  banner: { js: "const thisFile = require('node:url').pathToFileURL(__filename).href;" },
};
const workers = Object.fromEntries(JOBS.map((job) => [`worker-${job}`, `src/workers/${job}.ts`]));
await build({ ...script, entryPoints: { sealtree: 'src/cli/main.ts', ...workers } });
writeFileSync(`${root}dist/package.json`, '{ "type": "commonjs" }\n');
// An expression, for src/cli/compiled.ts.
await build({
  ...script,
  entryPoints: { mkcomposefs: 'src/cli/mkcomposefs-tool.ts' },
  banner: {
    js: `(function (exports, require, __filename) { const module = { exports }; ${script.banner.js}`,
  },
  footer: { js: 'Object.defineProperties(exports, Object.getOwnPropertyDescriptors(module.exports)); })' },
});
buildNative(root);
compile('mkcomposefs', ['--print-digest-only', '--threads=1', `${root}src`]);
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
 * Keeps the code that V8 makes of a bundle: that of all functions which a run with these arguments needs. V8's flags have
 * to be the usual ones, so the bundle may not set any meanwhile.
 */
function compile(name, args) {
  const file = `${root}dist/${name}.js`;
  const work = `
    const [, file, name, ...args] = process.argv;
    require('node:v8').setFlagsFromString = () => {};
    const { Script } = require('node:vm');
    const bundle = new Script(fs.readFileSync(file, 'latin1'), { filename: file });
    process.on('exit', () => fs.writeFileSync(file + '.code', bundle.createCachedData()));
    const exports = {};
    bundle.runInThisContext()(exports, require('node:module').createRequire(file), file);
    Object.values(exports)[0](args);`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', work, file, name, ...args], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`compiling ${name}: ${stderr}`);
}

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
