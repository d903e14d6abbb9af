#!/usr/bin/env node
/** Entry of the program: which tool it was called as, which verb, and the exit status. @module */
import { readFileSync } from 'node:fs';
import { type ByteString, byteString, utf8ByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { tuneEngine } from './engine.ts';
import { Output } from './output.ts';
import { wantsHelp } from './usage.ts';
import type { Tool } from './verb.ts';
import { PROGRAMS } from './verbs.ts';

tuneEngine();

const stdout = new Output(1);
const stderr = new Output(2);

/** Whose manners an error gets, and the usage text that may go with it. */
let tool: Tool = PROGRAMS[programName()] ?? 'sealtree';
let usage = '';

// Node's own warnings (experimental features, listeners) say nothing to who runs a command.
if (process.env.SEALTREE_DEBUG === undefined) process.removeAllListeners('warning');
process.on('uncaughtException', async (error) => process.exit(await fail(error)));
process.exitCode = await main(tool, rawArguments());

async function main(program: Tool, words: readonly ByteString[]): Promise<number> {
  try {
    const status = await run(program, words);
    stdout.flush();
    stderr.flush();
    return status;
  } catch (error) {
    return fail(error);
  }
}

async function run(program: Tool, words: readonly ByteString[]): Promise<number> {
  if (words.length === 1 && words[0] === '--version') return printVersion(program);
  const { findVerb } = await import('./find-verb.ts');
  const found = await findVerb(program, words);
  tool = found.program;
  if (found.verb === undefined) {
    const { programHelp } = await import('./help.ts');
    if (found.wanted === 'version') return printVersion(tool);
    usage = await programHelp(tool);
    if (found.wanted !== 'help') throw found.wanted;
    stdout.text(usage);
    return 0;
  }
  const { name, verb } = found;
  tool = verb.tool;
  try {
    const { parse } = await import('./program.ts');
    const parsed = await parse(verb, found.program, found.words);
    if (parsed === 'version') return printVersion(tool);
    if (parsed === 'help') {
      const { verbHelp } = await import('./help.ts');
      stdout.text(verbHelp(found.program, name, verb));
      return 0;
    }
    return (await verb.run({ program: found.program, ...parsed, stdout, stderr })) ?? 0;
  } catch (error) {
    if (error instanceof SealtreeError && wantsHelp(error)) {
      const { verbUsage } = await import('./help.ts');
      usage = verbUsage(found.program, name, verb);
    }
    throw error;
  }
}

async function printVersion(program: Tool): Promise<number> {
  const { versionText } = await import('./version.ts');
  stdout.text(versionText(program));
  return 0;
}

/** Prints what went wrong after what was printed before it, and returns the exit status. */
async function fail(error: unknown): Promise<number> {
  const { report } = await import('./report.ts');
  try {
    stdout.flush();
  } catch (flushError) {
    return report(tool, flushError, stderr, () => usage);
  }
  const status = report(tool, error, stderr, () => usage);
  stderr.flush();
  return status;
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
