// How a bundle for Node is made that is a module, with all packages but the native one in it.

/** Options of esbuild. Some packages are CommonJS and ask for Node's modules by require. */
export const esmBundle = {
  bundle: true,
  format: 'esm',
  platform: 'node',
  external: ['koffi'],
  banner: {
    js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);",
  },
};
