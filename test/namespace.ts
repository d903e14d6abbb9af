/** A mount namespace in which a test mounts what it likes; with it all mounts vanish. @module */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type Ran, type RunOptions, run, type Word } from './run.ts';

export interface Namespace {
  /** The namespace's view of an absolute path, for the file calls of the test itself. */
  path(path: string): string;
  /** Runs a command inside. */
  run(command: readonly Word[], options?: Omit<RunOptions, 'program'>): Ran;
  /** Runs shell lines inside, which must succeed. */
  sh(script: string, ...args: string[]): string;
  close(): Promise<void>;
}

export async function mountNamespace(): Promise<Namespace> {
  const keeper = spawn(
    'unshare',
    ['--mount', '--propagation', 'private', 'sh', '-c', 'echo ready; exec cat'],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  await Promise.race([
    once(keeper.stdout, 'data'),
    once(keeper, 'exit').then(() => {
      throw new Error('no mount namespace');
    }),
  ]);
  const enter = ['nsenter', `--mount=/proc/${keeper.pid}/ns/mnt`, '--'];
  const inside: Namespace = {
    path: (path) => `/proc/${keeper.pid}/root${path}`,
    run: (command, options) => run([...enter, ...command], options),
    sh: (script, ...args) => {
      const ran = inside.run(['sh', '-euc', script, 'sh', ...args]);
      if (ran.status !== 0) throw new Error(`${script}: ${ran.stderr}`);
      return ran.stdout;
    },
    close: async () => {
      const gone = once(keeper, 'exit');
      keeper.stdin.end();
      await gone;
    },
  };
  return inside;
}
