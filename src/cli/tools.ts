/** All tools and verbs: what dist/sealtree.js runs unless a file of its own has the tool. @module */
import type { ByteString } from '../core/bytes/byte-string.ts';
import { optimizeLater } from '../node/engine.ts';
import { findVerb } from './find-verb.ts';
import { parse } from './program.ts';
import { printVersion, runSession, runVerb } from './session.ts';
import type { Tool } from './verb.ts';

/** Runs the program as `tool` and sets the exit status. */
export function runTool(tool: Tool, words: readonly ByteString[]): Promise<void> {
  return runSession(tool, async (session) => {
    if (words.length === 1 && words[0] === '--version') return printVersion(session);
    const found = await findVerb(tool, words);
    session.tool = found.program;
    if (found.verb !== undefined) {
      optimizeLater();
      return runVerb(session, found, parse);
    }
    if (found.wanted === 'version') return printVersion(session);
    const { programHelp, programUsage } = await import('./help.ts');
    if (found.wanted !== 'help') {
      session.usage = await programUsage(found.program);
      throw found.wanted;
    }
    session.usage = await programHelp(found.program);
    session.stdout.text(session.usage);
    return 0;
  });
}
