/** mkcomposefs alone: what dist/sealtree.js runs as that tool. @module */
import type { ByteString } from '../core/bytes/byte-string.ts';
import { verb } from './commands/mkcomposefs.ts';
import { parseAsRealTool } from './real-tool-options.ts';
import { runSession, runVerb } from './session.ts';

/** Runs mkcomposefs and sets the exit status. */
export function runMkcomposefs(words: readonly ByteString[]): Promise<void> {
  const name = 'mkcomposefs';
  return runSession(name, (session) =>
    runVerb(session, { program: name, name, verb, words }, parseAsRealTool),
  );
}
