/** Temporary files and directories that must not outlive the process when it is interrupted. @module */
import { rmSync } from 'node:fs';
import type { ByteString } from '../core/bytes/byte-string.ts';
import { fsPath } from './fs-path.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const cleanups = new Map<ByteString, () => void>();
let listening = false;

/**
 * Sees to it that `path` is removed if a signal ends the process. With a handler in place a signal waits until
 * synchronous code is done, so nothing is cut off in the middle of it.
 *
 * @param cleanup what to do instead of removing the path and all below it
 */
export function registerTemporary(path: ByteString, cleanup: () => void = () => removeTree(path)): void {
  if (!listening) for (const signal of SIGNALS) process.on(signal, interrupted);
  listening = true;
  cleanups.set(path, cleanup);
}

/** The path is gone or has become permanent. */
export function forgetTemporary(path: ByteString): void {
  // Not at once: a signal that came meanwhile waits for the event loop and would be lost with its listener.
  if (cleanups.delete(path) && cleanups.size === 0) setImmediate(stopListening).unref();
}

function stopListening(): void {
  if (cleanups.size > 0) return;
  for (const signal of SIGNALS) process.off(signal, interrupted);
  listening = false;
}

function interrupted(signal: NodeJS.Signals): void {
  for (const cleanup of [...cleanups.values()].reverse()) {
    try {
      cleanup();
    } catch {
      // The others still have to go.
    }
  }
  cleanups.clear();
  stopListening();
  process.kill(process.pid, signal);
}

function removeTree(path: ByteString): void {
  rmSync(fsPath(path), { recursive: true, force: true });
}
