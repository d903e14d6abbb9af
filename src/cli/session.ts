/** One call of the program from its first word to its exit status: output, errors and how they are told. @module */
import { SealtreeError } from '../core/errors.ts';
import type { Found } from './find-verb.ts';
import { Output } from './output.ts';
import { report } from './report.ts';
import { wantsHelp } from './usage.ts';
import type { Parsed, Tool } from './verb.ts';
import { versionText } from './version.ts';

export interface Session {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Whose manners an error gets. */
  tool: Tool;
  /** The usage text that may go with an error. */
  usage: string;
}

/** Runs `work`, prints what it left to be printed, and sets the exit status to its own or to that of its error. */
export async function runSession(tool: Tool, work: (session: Session) => Promise<number>): Promise<void> {
  const session: Session = { stdout: new Output(1), stderr: new Output(2), tool, usage: '' };
  // Node's own warnings (experimental features, listeners) say nothing to who runs a command.
  if (process.env.SEALTREE_DEBUG === undefined) process.removeAllListeners('warning');
  process.on('uncaughtException', (error) => process.exit(fail(session, error)));
  // All is written. Left to itself Node would take the heap apart first, which takes up to 20 ms.
  process.exit(await statusOf(session, work));
}

/** Runs a verb that was found, or prints the help or the version that its words ask for. */
export async function runVerb(
  session: Session,
  { program, name, verb, words }: Found,
  parse: (verb: Found['verb'], program: Tool, words: Found['words']) => Parsed | Promise<Parsed>,
): Promise<number> {
  const { stdout, stderr } = session;
  session.tool = verb.tool;
  try {
    const parsed = await parse(verb, program, words);
    if (parsed === 'version') return printVersion(session);
    if (parsed === 'help') {
      const { verbHelp } = await import('./verb-help.ts');
      stdout.text(verbHelp(program, name, verb));
      return 0;
    }
    return (await verb.run({ program, ...parsed, stdout, stderr })) ?? 0;
  } catch (error) {
    if (error instanceof SealtreeError && wantsHelp(error)) {
      session.usage = await usageOf(program, name, verb);
    }
    throw error;
  }
}

/** What goes with an error about the words of a verb. */
async function usageOf(program: Tool, name: string, verb: Found['verb']): Promise<string> {
  if (verb.tool === 'veritysetup') return (await import('./popt.ts')).poptUsage();
  return (await import('./verb-help.ts')).verbUsage(program, name, verb);
}

export function printVersion({ stdout, tool }: Session): number {
  stdout.text(versionText(tool));
  return 0;
}

async function statusOf(session: Session, work: (session: Session) => Promise<number>): Promise<number> {
  try {
    const status = await work(session);
    session.stdout.flush();
    session.stderr.flush();
    return status;
  } catch (error) {
    return fail(session, error);
  }
}

/** Prints what went wrong after what was printed before it, and returns the exit status. */
function fail({ stdout, stderr, tool, usage }: Session, error: unknown): number {
  try {
    stdout.flush();
  } catch (flushError) {
    return report(tool, flushError, stderr, () => usage);
  }
  const status = report(tool, error, stderr, () => usage);
  stderr.flush();
  return status;
}
