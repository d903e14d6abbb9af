// Writes what is made of the verbs' own data: man/*.1, docs/commands/*.md, and the marked parts of other documents.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { esmBundle } from './esm-bundle.mjs';
import { ensureInstalled } from './install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
ensureInstalled(root);
const { build } = await import('esbuild');

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const bundle = join(root, '.cache/documents.mjs');
await build({
  absWorkingDir: root,
  entryPoints: ['src/cli/documents.ts'],
  outfile: bundle,
  ...esmBundle,
  define: { SEALTREE_VERSION: JSON.stringify(version) },
});
const { manPages, commandPages, fillMarked } = await import(pathToFileURL(bundle));

replaceFolder('man', await manPages(version), /\.1$/);
replaceFolder('docs/commands', await commandPages(), /\.md$/);
for (const file of ['README.md', 'docs/compatibility.md', 'docs/exit-status.md']) {
  const path = join(root, file);
  writeFileSync(path, await fillMarked(readFileSync(path, 'utf8')));
}

/** Makes the files of a folder whose names match exactly these pages. */
function replaceFolder(folder, pages, names) {
  mkdirSync(join(root, folder), { recursive: true });
  for (const name of readdirSync(join(root, folder))) {
    if (names.test(name) && !pages.has(name)) rmSync(join(root, folder, name));
  }
  for (const [name, text] of pages) writeFileSync(join(root, folder, name), text);
  console.log(`${folder}: ${pages.size} pages`);
}
