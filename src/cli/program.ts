/** One verb and one command line to a commander command: parsing and --help. @module */
import { Command, CommanderError, Option } from 'commander';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import type { OptionSpec, OptionValues, Tool, Verb } from './verb.ts';

/** Options that every verb of a tool takes. */
const COMMON_OPTIONS: Partial<Record<Tool, readonly OptionSpec[]>> = {
  ostree: [
    {
      flags: '--repo <path>',
      description: 'repository (default: the current directory, else /sysroot/ostree/repo)',
    },
    { flags: '-v, --verbose', description: 'say what is done while it is done' },
    { flags: '--version', description: 'print the version and exit' },
  ],
};

export interface Parsed {
  readonly args: ByteString[];
  readonly options: OptionValues;
}

/** The options of `verb` as `program` offers them, those that every verb of its tool has at the end. */
export function optionsOf(verb: Verb, program: Tool): OptionSpec[] {
  const all = [...verb.options, ...(COMMON_OPTIONS[verb.tool] ?? [])];
  return program === 'sealtree' ? all : all.filter((option) => option.ownOnly !== true);
}

/**
 * Parses the words after the verb.
 *
 * @returns operands and options, or the help text if that was asked for
 * @throws SealtreeError `usage` with the words of the verb's tool
 */
export function parse(verb: Verb, program: Tool, words: readonly ByteString[]): Parsed | { help: string } {
  const given = new Map<string, ByteString[]>();
  const command = commandFor(verb, program, (name, value) => {
    const values = given.get(name);
    if (values === undefined) given.set(name, [value]);
    else values.push(value);
  });
  let help = '';
  command.configureOutput({ writeOut: (text) => (help += text), writeErr: () => {} });
  try {
    command.parse([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') return { help };
    throw usageError(verb, error);
  }
  return {
    args: command.args.map((word) => byteString(word)),
    options: {
      has: (name) => given.has(name),
      value: (name) => given.get(name)?.at(-1),
      values: (name) => given.get(name) ?? [],
    },
  };
}

/** The commander command of a verb; `onOption` hears every option in the order given. */
export function commandFor(
  verb: Verb,
  program: Tool,
  onOption: (name: string, value: ByteString) => void = () => {},
): Command {
  const name = [program, ...verb.path].join(' ');
  const command = new Command(name)
    .usage(['[OPTION…]', verb.operands].filter((part) => part !== '').join(' '))
    .description(verb.summary)
    .allowExcessArguments(true)
    .argument('[operands...]')
    .helpOption('-h, --help', 'show this help')
    .exitOverride();
  for (const spec of optionsOf(verb, program)) {
    const option = new Option(spec.flags, spec.description);
    command.addOption(option);
    command.on(`option:${option.name()}`, (value: string | null | undefined) =>
      onOption(option.name(), byteString(value ?? '')),
    );
  }
  if (verb.examples.length > 0) {
    command.addHelpText(
      'after',
      `\nExample:\n${verb.examples.map((example) => `  ${example}`).join('\n')}\n`,
    );
  }
  return command;
}

function usageError(verb: Verb, error: CommanderError): SealtreeError {
  const words = displayByteString(byteString(error.message));
  const option = /'(?:.*?)?(--?[^ ',]+)[^']*'/.exec(words)?.[1] ?? '';
  if (verb.tool === 'ostree') {
    if (error.code === 'commander.unknownOption')
      return new SealtreeError('usage', `Unknown option ${option}`);
    if (error.code === 'commander.optionMissingArgument')
      return new SealtreeError('usage', `Missing argument for ${option}`);
  }
  return new SealtreeError('usage', words.replace(/^error: /, ''));
}
