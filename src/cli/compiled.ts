/**
 * Loading a bundle together with the code that V8 made of it when sealtree was built: it need not be parsed and compiled
 * then, which takes 6 ms of mkcomposefs. V8 refuses code that another version of it has made, or one with other flags;
 * then the bundle is compiled as any other.
 * @module
 */

const { readFileSync } = process.getBuiltinModule('node:fs');
const { createRequire } = process.getBuiltinModule('node:module');
const { Script } = process.getBuiltinModule('node:vm');

/** What the bundle is: an expression, as scripts/build.mjs writes it. */
type Bundle = (exports: object, require: NodeJS.Require, file: string) => void;

/**
 * Runs a bundle.
 *
 * @param file its path; the compiled code is beside it
 * @returns what it exports
 */
export function loadCompiled(file: string): object {
  const source = readFileSync(file, 'latin1'); // It is ASCII.
  const bundle = new Script(source, { filename: file, cachedData: compiledCode(`${file}.code`) });
  const exports = {};
  (bundle.runInThisContext() as Bundle)(exports, createRequire(file), file);
  return exports;
}

function compiledCode(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}
