/**
 * What a test needs that not every machine has. Where it is missing the tests are skipped, and the reason is listed at
 * the end of the run. Where the project is proved (CI=true, as root) a real tool or virtual machine that is missing is a failure.
 * @module
 */
import { existsSync, mkdtempSync, readFileSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as vitest from 'vitest';
import { whyNoBoot } from './boot/root.ts';
import { whyNoProgram } from './initramfs/program.ts';
import { peersRoot, whyNoPeers } from './peers.ts';
import { link, run } from './run.ts';

export interface Requirements {
  readonly root?: true;
  /** The real ostree, mkcomposefs, composefs-info and fsverity of `real()`. */
  readonly peers?: true;
  /** Virtual machines with Debian's kernels: `runGuest`. */
  readonly boot?: true;
  /** The boot program, compiled. */
  readonly program?: true;
  /** Namespaces in which these file systems can be mounted. */
  readonly mount?: 'overlay' | 'erofs' | 'tmpfs' | readonly ('overlay' | 'erofs' | 'tmpfs')[];
  /** A kernel whose ext4 can seal files; the test makes a file system of its own. */
  readonly fsverity?: true;
  /** Root, who can become a user that may read the clone: `asOtherUser`. */
  readonly otherUser?: true;
  /** Programs in PATH. */
  readonly programs?: readonly string[];
}

declare module 'vitest' {
  interface TaskMeta {
    /** Why a test is skipped. */
    reason?: string;
    /** A row of the table of what was booted. */
    boot?: { readonly expected: string; readonly seen: string; readonly seconds: number };
  }
}

/**
 * @returns vitest's `describe` and `it`, or stand-ins that skip with the reason why this machine cannot run them, and
 * the reason itself
 */
export function requires(requirements: Requirements): {
  describe: (name: string, body: () => void) => void;
  it: (name: string, body: () => void | Promise<void>, timeout?: number) => void;
  reason: string | undefined;
} {
  const reason = whyNot(requirements);
  if (reason === undefined) {
    return {
      describe: (name, body) => void vitest.describe(name, body),
      it: (name, body, timeout) => vitest.it(name, () => body(), timeout),
      reason,
    };
  }
  const cannot =
    (requirements.peers && whyNoPeers()) ||
    (requirements.program && whyNoProgram()) ||
    (requirements.boot && whyNoBoot());
  if (isProving() && cannot) {
    const fail = () => {
      throw new Error(reason);
    };
    return {
      describe: (name) => void vitest.describe(name, () => vitest.it('has what it needs', fail)),
      it: (name) => vitest.it(name, fail),
      reason,
    };
  }
  const options = { skip: true, meta: { reason } };
  return {
    describe: (name, body) => void vitest.describe(name, options, body),
    it: (name, body) => vitest.it(name, options, () => body()),
    reason,
  };
}

/** Whether this run proves the project, so that nothing may be skipped that root could make. */
export function isProving(): boolean {
  return process.env.CI === 'true' && process.getuid?.() === 0;
}

/** The command, run as a user without rights. */
export function asOtherUser(command: readonly string[]): string[] {
  return ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', ...command];
}

function whyNot({
  root,
  peers,
  boot,
  program,
  mount,
  fsverity,
  otherUser,
  programs = [],
}: Requirements): string | undefined {
  if (root && process.getuid?.() !== 0) return 'needs root';
  if (peers && peersRoot() === undefined) return `needs the real tools: ${whyNoPeers()}`;
  if (program && whyNoProgram() !== undefined) return `needs the boot program: ${whyNoProgram()}`;
  if (boot && whyNoBoot() !== undefined) return `needs virtual machines: ${whyNoBoot()}`;
  for (const kind of mount === undefined ? [] : typeof mount === 'string' ? [mount] : mount) {
    if (!mounts.has(kind)) mounts.set(kind, whyNoMount(kind));
    const reason = mounts.get(kind);
    if (reason !== undefined) return reason;
  }
  if (fsverity && !existsSync('/sys/fs/ext4/features/verity')) return 'needs fs-verity in the kernel';
  if (otherUser && process.getuid?.() !== 0) return 'needs root, to become another user';
  if (otherUser && run(asOtherUser([process.execPath, link(), '--version'])).status !== 0) {
    return 'needs setpriv, and a clone that other users can read';
  }
  const missing = programs.filter(
    (name) => !(process.env.PATH ?? '').split(':').some((p) => existsSync(join(p, name))),
  );
  return missing.length > 0 ? `needs ${missing.join(', ')} in PATH` : undefined;
}

const mounts = new Map<string, string | undefined>();

function whyNoMount(kind: 'overlay' | 'erofs' | 'tmpfs'): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root to mount';
  const entered = run(['unshare', '--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
  if (entered.status !== 0) return 'needs a mount namespace with the right to mount in it';
  const known = () => readFileSync('/proc/filesystems', 'latin1').split(/\s+/).includes(kind);
  if (known()) return undefined;
  // A module is loaded by asking for the file system, not by looking for it.
  const directory = mkdtempSync(join(tmpdir(), 'sealtree-probe-'));
  run(['unshare', '--mount', 'mount', '-t', kind, 'none', directory]);
  rmdirSync(directory);
  return known() ? undefined : `needs ${kind} in the kernel`;
}
