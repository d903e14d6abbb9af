// Bundles the program into dist/: sealtree.js, which loads tools.js or mkcomposefs.js, and the workers. Beside them the
// sources of the boot program, as `sealtree initramfs build` compiles them: one script, and its C.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
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
// CommonJS, which Node loads in half the time, each in one file.
const script = {
  ...forNode,
  format: 'cjs',
  // A bundle that is run as an expression has no import().
  supported: { 'dynamic-import': false },
  define: { ...forNode.define, 'import.meta.url': 'thisFile' },
  banner: { js: "const thisFile = require('node:url').pathToFileURL(__filename).href;" },
};
const workers = Object.fromEntries(JOBS.map((job) => [`worker-${job}`, `src/workers/${job}.ts`]));
await build({ ...script, entryPoints: { sealtree: 'src/cli/main.ts', ...workers } });
writeFileSync(`${root}dist/package.json`, '{ "type": "commonjs" }\n');
// Expressions, for src/cli/compiled.ts: one for all tools, whose modules are run when they are asked for.
await build({
  ...script,
  entryPoints: { mkcomposefs: 'src/cli/mkcomposefs-tool.ts', tools: 'src/cli/tools.ts' },
  // All of a bundle is read each time.
  minifyWhitespace: true,
  banner: {
    js: `(function (exports, require, __filename) { const module = { exports }; ${script.banner.js}`,
  },
  footer: { js: 'Object.defineProperties(exports, Object.getOwnPropertyDescriptors(module.exports)); })' },
});
buildNative(root);
const scratch = mkdtempSync(join(tmpdir(), 'sealtree-build-'));
const repo = `--repo=${scratch}/repo`;
compile('mkcomposefs', [[['--print-digest-only', '--threads=1', `${root}src`]]]);
compile('tools', [
  ['sealtree', ['--version']],
  ['ostree', ['init', repo, '--mode=bare-user']],
  ['ostree', ['commit', repo, '--branch=a', '--generate-composefs-metadata', `${root}keys`]],
  ['ostree', ['commit', repo, '--branch=a', '--generate-composefs-metadata', `${root}keys`]],
  ['ostree', ['checkout', repo, '-U', 'a', `${scratch}/tree`]],
  ['ostree', ['fsck', repo]],
  ['ostree', ['ls', repo, '-R', 'a']],
  ['fsverity', ['digest', `${root}package.json`]],
]);
rmSync(scratch, { recursive: true });
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
 * Keeps the code that V8 makes of a bundle: that of all functions which runs with these arguments need. V8's flags have
 * to be the usual ones, so the bundle may not set any meanwhile.
 */
function compile(name, runs) {
  const file = `${root}dist/${name}.js`;
  const work = `
    const [, file, runs] = process.argv;
    const exit = process.exit;
    require('node:v8').setFlagsFromString = () => {};
    process.exit = () => {};
    const { Script } = require('node:vm');
    const bundle = new Script(fs.readFileSync(file, 'latin1'), { filename: file });
    const exports = {};
    bundle.runInThisContext()(exports, require('node:module').createRequire(file), file);
    const [run] = Object.values(exports);
    (async () => {
      for (const args of JSON.parse(runs)) await run(...args);
      fs.writeFileSync(file + '.code', bundle.createCachedData());
      exit();
    })();`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', work, file, JSON.stringify(runs)], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`compiling ${name}: ${stderr}`);
}
