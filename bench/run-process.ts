/**
 * Runs a program to its end and tells what it took: time of the wall clock, and what the kernel counted for it and its
 * children (wait4(2), struct rusage of getrusage(2)).
 *
 * The peak of memory is no less than what the process had that forked it, so Node must not fork it: a shell of one
 * megabyte does, becomes `echo`, which waits for nobody, and ends; and the program, which this process adopts (PR_SET_CHILD_SUBREAPER of prctl(2)), is waited for
 * here. That takes a shell and nothing else.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { foreign } from '../src/node/foreign.ts';

export interface Run {
  /** Seconds. */
  readonly wall: number;
  readonly user: number;
  readonly system: number;
  /** Most bytes resident of the largest process. */
  readonly memory: number;
  /** Seconds that the hypervisor took from all processors meanwhile. */
  readonly steal: number;
  /** Bytes a second, as the program itself tells. */
  readonly rate?: number;
}

export interface Finished extends Run {
  readonly stdout: string;
}

const PR_SET_CHILD_SUBREAPER = 36;
const RUSAGE_SIZE = 144;
/** Of /proc/stat: a hundredth of a second, USER_HZ. */
const TICKS = 100;

const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
const wait4 = koffi.load(null).func('wait4', 'int', ['int', 'void *', 'int', 'void *']);
const prctl = foreign('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']);

let running: number | undefined;

/** Ends the program that runs, when this one is asked to end. */
export function endWithThis(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      if (running !== undefined) process.kill(running, 'SIGKILL');
      process.exit(130);
    });
  }
}

/**
 * @param folder where its output is kept meanwhile
 * @throws Error with what it wrote to standard error, if it fails
 */
export async function runProcess(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  folder: string,
): Promise<Finished> {
  const [stdout, stderr] = [join(folder, 'stdout'), join(folder, 'stderr')];
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const stolen = stealTime();
  const start = performance.now();
  const shell = spawnSync('/bin/sh', ['-c', `"$@" <&- >"$OUT" 2>"$ERR" & exec echo $!`, 'sh', ...command], {
    encoding: 'utf8',
    env: { ...environment(), ...env, OUT: stdout, ERR: stderr },
  });
  running = Number(shell.stdout);
  if (!(running > 0)) throw new Error(`${command[0]}: ${shell.stderr}`);
  const status = Buffer.alloc(4);
  const usage = Buffer.alloc(RUSAGE_SIZE);
  const pid = running;
  const waited = await new Promise<number>((resolve, reject) => {
    wait4.async(pid, status, 0, usage, (error: unknown, result: number) =>
      error ? reject(error) : resolve(result),
    );
  });
  const wall = (performance.now() - start) / 1000;
  running = undefined;
  if (waited !== pid) throw new Error(`${command[0]}: it cannot be waited for`);
  if (status.readUInt32LE() !== 0) {
    throw new Error(`${command.join(' ').slice(0, 500)}: ${readFileSync(stderr, 'latin1').slice(-2000)}`);
  }
  return {
    wall,
    user: seconds(usage, 0),
    system: seconds(usage, 16),
    memory: Number(usage.readBigInt64LE(32)) * 1024,
    steal: stealTime() - stolen,
    stdout: readFileSync(stdout, 'latin1'),
  };
}

/** Runs a program that is not measured. @returns its standard output @throws Error if it fails */
export function runQuietly([program, ...args]: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program as string, args, {
    encoding: 'latin1',
    env: environment(),
    maxBuffer: Number.POSITIVE_INFINITY,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${[program, ...args].join(' ').slice(0, 500)}: ${stderr.slice(-2000)}`);
  return stdout;
}

function environment(): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    HOME: process.env.HOME ?? '/',
    LANG: 'C.UTF-8',
    TZ: 'UTC',
  };
}

/** A struct timeval. */
function seconds(usage: Buffer, at: number): number {
  return Number(usage.readBigInt64LE(at)) + Number(usage.readBigInt64LE(at + 8)) / 1e6;
}

function stealTime(): number {
  const fields = /^cpu +(.*)$/m.exec(readFileSync('/proc/stat', 'latin1'))?.[1]?.split(' ');
  return Number(fields?.[7] ?? 0) / TICKS;
}
