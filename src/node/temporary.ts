/** Temporary files and directories that must not outlive the process, however it ends. @module */
import { rmSync } from 'node:fs';
import type { ByteString } from '../core/bytes/byte-string.ts';
import { fsPath } from './fs-path.ts';
import { onExit } from './on-exit.ts';

const registered = new Map<ByteString, () => void>();

/**
 * Sees to it that `path` is removed if the program ends before `forgetTemporary`. With a handler in place a signal
 * waits until synchronous code is done, so nothing is cut off in the middle of it.
 *
 * @param cleanUp what to do instead of removing the path and all below it
 */
export function registerTemporary(path: ByteString, cleanUp: () => void = () => removeTree(path)): void {
  registered.set(path, onExit(cleanUp));
}

/** The path is gone or has become permanent. */
export function forgetTemporary(path: ByteString): void {
  registered.get(path)?.();
  registered.delete(path);
}

function removeTree(path: ByteString): void {
  rmSync(fsPath(path), { recursive: true, force: true });
}
