/** Help texts of programs, made of the data of their verbs. @module */
import { capitalized } from './option.ts';
import type { Tool, Verb } from './verb.ts';
import { table, verbHelp } from './verb-help.ts';
import { VERBS } from './verbs.ts';

/** What `--help` of a program prints, and what one with verbs prints when called without. */
export async function programHelp(program: Tool): Promise<string> {
  const only = await VERBS[program]?.();
  if (only !== undefined) return verbHelp(program, program, only.verb);
  const own: [string, string][] = [];
  const real: [string, string][] = [];
  for (const [name, { verb }] of await allVerbs()) {
    if (program === 'ostree' || program === 'fsverity' || program === 'veritysetup') {
      if (verb.tool === program) real.push([name.replace(/^(fsverity|verity) /, ''), verb.summary]);
    } else if (verb.tool === 'sealtree') own.push([name, verb.summary]);
    else real.push([name, verb.summary]);
  }
  const usage = `Usage:\n  ${program} ${program === 'fsverity' ? 'COMMAND [OPTION…]' : '[OPTION…] COMMAND'}\n`;
  const options =
    'Options:\n' +
    table([
      ['-h, --help', 'Show this help'],
      ['--version', 'Print the version and exit'],
    ]);
  if (program !== 'sealtree') return `${usage}\nCommands:\n${table(real)}\n${options}`;
  return [
    `${usage}\nCommit, seal and verify image-based Linux trees.\n`,
    `Commands:\n${table(own)}`,
    `Commands with the names, options and output of the real tools:\n${table(real)}`,
    options,
    "'sealtree help COMMAND' tells more about one; called through a link named ostree, mkcomposefs,",
    'composefs-info, fsverity, mount.composefs, veritysetup or dmverity-vhd, sealtree is that tool.\n',
  ]
    .join('\n')
    .replace('exit\n\n', 'exit\n\n');
}

/** What a program prints with an error about a command line that names no verb of it. */
export async function programUsage(program: Tool): Promise<string> {
  return program === 'veritysetup' ? (await import('./popt.ts')).poptUsage() : programHelp(program);
}

/** Every verb with its name, sorted by it; summaries begin with an upper case letter. */
export async function allVerbs(): Promise<[name: string, { verb: Verb }][]> {
  const loaded = Object.entries(VERBS).map(async ([name, load]): Promise<[string, { verb: Verb }]> => {
    const { verb } = await load();
    return [name, { verb: { ...verb, summary: capitalized(verb.summary) } }];
  });
  return (await Promise.all(loaded)).sort(([a], [b]) => (a < b ? -1 : 1));
}
