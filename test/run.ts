/** Runs the built program, dist/sealtree.js, through a link of the name it is to be called by. @module */
import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { Tool } from '../src/cli/verb.ts';
import { type ByteString, byteString } from '../src/core/bytes/byte-string.ts';

/** What the built program is called as. */
export type Program = Tool;

/** A word of the command line: text, given to the program as UTF-8, or the bytes themselves. */
export type Word = string | Uint8Array;

export interface RunOptions {
  readonly cwd?: string;
  /** Added to an environment that has only PATH, HOME, LANG and TZ; `undefined` removes one of these. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** The name it is called by; default `sealtree`. */
  readonly program?: Program;
  /** Standard input; default empty. */
  readonly input?: Uint8Array | string;
  /** Files or descriptors that the program inherits as 3, 4, …. */
  readonly descriptors?: readonly number[];
  /** Milliseconds until it is killed; default two minutes. */
  readonly timeout?: number;
}

export interface Ran {
  /** One character for each byte. */
  readonly stdout: ByteString;
  readonly stderr: ByteString;
  /** Exit status; -1 if a signal ended it. */
  readonly status: number;
  readonly signal: NodeJS.Signals | null;
}

/** Runs the program to its end. */
export function sealtree(args: readonly Word[], options: RunOptions = {}): Ran {
  return run([process.execPath, link(options.program), ...args], options);
}

/** Runs the program and fails with its messages unless it succeeds. @returns its standard output */
export function sealtreeOk(args: readonly Word[], options: RunOptions = {}): ByteString {
  return expectSuccess(sealtree(args, options), [options.program ?? 'sealtree', ...args]);
}

/** Starts the program and does not wait for it. */
export function startSealtree(args: readonly string[], options: StartOptions = {}): ChildProcess {
  return start([process.execPath, link(options.program), ...args], options);
}

export interface StartOptions extends Pick<RunOptions, 'cwd' | 'env' | 'program'> {
  readonly stdio?: StdioOptions;
}

/** Starts any program in the environment in which the tests run sealtree. */
export function start(command: readonly string[], options: StartOptions = {}): ChildProcess {
  return spawn(command[0] as string, command.slice(1), {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdio: options.stdio ?? 'ignore',
    env: environment(options.env),
  });
}

/** Runs any program to its end, in the environment in which the tests run sealtree. */
export function run(command: readonly Word[], options: Omit<RunOptions, 'program'> = {}): Ran {
  const [program, ...args] = spelled(command);
  const result = spawnSync(program as string, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: environment(options.env),
    input: options.input ?? '',
    stdio: ['pipe', 'pipe', 'pipe', ...(options.descriptors ?? [])],
    maxBuffer: Number.POSITIVE_INFINITY,
    timeout: options.timeout ?? 120_000,
    killSignal: 'SIGKILL',
  });
  if (result.error !== undefined && (result.error as NodeJS.ErrnoException).code !== 'EPIPE')
    throw result.error;
  return {
    stdout: byteString(result.stdout.toString('latin1')),
    stderr: byteString(result.stderr.toString('latin1')),
    status: result.status ?? -1,
    signal: result.signal,
  };
}

/** @returns the standard output of a run that must have succeeded */
export function expectSuccess(ran: Ran, command: readonly Word[]): ByteString {
  if (ran.status !== 0) {
    const words = command.map((word) =>
      typeof word === 'string' ? word : Buffer.from(word).toString('latin1'),
    );
    throw new Error(
      `${words.join(' ').slice(0, 500)}: status ${ran.status} ${ran.signal ?? ''}\n${ran.stderr}`,
    );
  }
  return ran.stdout;
}

/** The link to the built program of that name. */
export function link(program: Program = 'sealtree'): string {
  const links = process.env.SEALTREE_TEST_LINKS;
  if (links === undefined) throw new Error('dist is built and linked by vitest: run the tests through it');
  return join(links, program);
}

function environment(added: RunOptions['env'] = {}): NodeJS.ProcessEnv {
  const { PATH, HOME } = process.env;
  return { PATH, HOME, LANG: 'C.UTF-8', TZ: 'UTC', ...added };
}

/** Node can hand over text only: words of other bytes are spelled out for a shell that replaces itself. */
function spelled(command: readonly Word[]): string[] {
  if (command.every((word) => typeof word === 'string')) return [...command];
  const words = command.map((word) => {
    const bytes = typeof word === 'string' ? Buffer.from(word) : word;
    return `$'${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}'`;
  });
  return ['bash', '-c', `exec ${words.join(' ')}`];
}
