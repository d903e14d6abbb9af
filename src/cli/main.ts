#!/usr/bin/env node
/** Entry of the program: which tool it was called as, which verb, and the exit status. @module */
import { readFileSync } from 'node:fs';
import { type ByteString, byteString, displayByteString, utf8ByteString } from '../core/bytes/byte-string.ts';
import { EXIT_STATUS, SealtreeError } from '../core/errors.ts';
import { Output } from './output.ts';
import type { Tool } from './verb.ts';
import { PROGRAMS, VERBS } from './verbs.ts';

declare const SEALTREE_VERSION: string;

const stdout = new Output(1);
const stderr = new Output(2);

process.exitCode = await main();

async function main(): Promise<number> {
  const program = PROGRAMS[programName()] ?? 'sealtree';
  const words = rawArguments();
  let tool: Tool = program;
  try {
    if (program === 'sealtree' && words[0] === '--version') {
      stdout.line(`sealtree ${SEALTREE_VERSION}`);
      return 0;
    }
    const found = findVerb(program, words);
    const { verb } = await found.load();
    tool = verb.tool;
    const { parse } = await import('./program.ts');
    const parsed = parse(verb, program, found.words);
    if ('help' in parsed) {
      stdout.write(utf8ByteString(parsed.help));
      return 0;
    }
    return (await verb.run({ program, ...parsed, stdout, stderr })) ?? 0;
  } catch (error) {
    stdout.flush();
    return report(tool, error);
  } finally {
    stdout.flush();
    stderr.flush();
  }
}

/** Prints the error as the tool would and returns its exit status. */
function report(tool: Tool, error: unknown): number {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof SealtreeError ? error.code : 'internal';
  if (process.env.SEALTREE_DEBUG !== undefined && error instanceof Error) stderr.line(error.stack ?? '');
  switch (tool) {
    case 'mkcomposefs':
    case 'composefs-info':
    case 'mount.composefs':
      stderr.line(`${tool}: ${message}`);
      return 1;
    case 'fsverity':
      stderr.line(`ERROR: ${message}`);
      return code === 'usage' ? 2 : 1;
    case 'ostree':
      stderr.line(`error: ${message}`);
      return 1;
    case 'sealtree':
      stderr.line(`sealtree: ${message}`);
      return EXIT_STATUS[code];
  }
}

/** The verb is the longest run of leading words that names one. */
function findVerb(program: Tool, words: ByteString[]) {
  const first = words.findIndex((word) => !word.startsWith('-'));
  const prefix = program === 'sealtree' || program === 'ostree' ? [] : [program];
  for (let length = prefix.length === 0 ? 2 : 1; length >= 0; length--) {
    const path = [...prefix, ...(length === 0 ? [] : words.slice(first, first + length))];
    const load = VERBS[path.join(' ')];
    if (load !== undefined && (length === 0 || first >= 0)) {
      return {
        load,
        words: length === 0 ? words : [...words.slice(0, first), ...words.slice(first + length)],
      };
    }
  }
  const name = first < 0 ? '' : displayByteString(words[first] as ByteString);
  throw new SealtreeError('usage', name === '' ? 'No command specified' : `Unknown command '${name}'`);
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
