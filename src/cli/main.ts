#!/usr/bin/env node
/**
 * Entry of the program: which tool it was called as, with which words. What it then runs is one of two files beside it:
 * dist/mkcomposefs.js has that tool alone, since its runs are often so short that loading the others would show, and
 * dist/tools.js has all.
 * @module
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type ByteString, byteString, utf8ByteString } from '../core/bytes/byte-string.ts';
import { loadCompiled } from './compiled.ts';
import type * as mkcomposefs from './mkcomposefs-tool.ts';
import { toolNamed } from './tool-names.ts';
import type * as tools from './tools.ts';

const tool = toolNamed(programName()) ?? 'sealtree';
const words = rawArguments();
void run();

function run(): Promise<void> {
  const wordsOfMkcomposefs = forMkcomposefs();
  const load = (name: string) => loadCompiled(fileURLToPath(new URL(`./${name}.js`, import.meta.url)));
  if (wordsOfMkcomposefs !== undefined) {
    const { runMkcomposefs } = load('mkcomposefs') as typeof mkcomposefs;
    return runMkcomposefs(wordsOfMkcomposefs);
  }
  const { runTool } = load('tools') as typeof tools;
  return runTool(tool, words);
}

/** The words of a plain call of mkcomposefs, by whichever name; undefined for all else. */
function forMkcomposefs(): ByteString[] | undefined {
  if (tool === 'mkcomposefs') return words.length === 1 && words[0] === '--version' ? undefined : words;
  if (tool !== 'sealtree' || words[0] !== 'mkcomposefs') return undefined;
  return words.length === 2 && words[1] === '--help' ? undefined : words.slice(1);
}

function programName(): string {
  return (process.argv[1] ?? '').replace(/^.*\//, '').replace(/\.js$/, '');
}

/** The arguments as bytes: Node decodes them as UTF-8, so the kernel is asked where that lost something. */
function rawArguments(): ByteString[] {
  const decoded = process.argv.slice(2);
  if (!decoded.some((word) => word.includes('\ufffd'))) return decoded.map(utf8ByteString);
  const all = readFileSync('/proc/self/cmdline', 'latin1').split('\0').slice(0, -1);
  return all.slice(all.length - decoded.length).map((word) => byteString(word));
}
