/** Command lines of the verbs that are sealtree's own, read by commander. @module */
import { Command, CommanderError, Option as CommanderOption } from 'commander';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { GivenOptions, type Option } from './option.ts';
import { optionError } from './usage.ts';
import type { Parsed, Verb } from './verb.ts';

/** @throws SealtreeError `usage` */
export function parseOwn(verb: Verb, options: readonly Option[], words: readonly ByteString[]): Parsed {
  const given = new GivenOptions();
  const command = new Command(['sealtree', ...verb.path].join(' '))
    .argument('[operands...]')
    .allowExcessArguments(true)
    .passThroughOptions(verb.runsCommand === true)
    .helpOption('-h, --help')
    .configureOutput({ writeOut: () => {}, writeErr: () => {} })
    .showSuggestionAfterError(false)
    .exitOverride();
  for (const { spec, long } of options) {
    command.addOption(new CommanderOption(spec.flags));
    command.on(`option:${long}`, (value: string | null | undefined) =>
      given.add(long, byteString(value ?? '')),
    );
  }
  try {
    command.parse([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed') return 'help';
    throw optionError(displayByteString(byteString(error.message)).replace(/^error: /, ''));
  }
  return { args: command.args.map((word) => byteString(word)), options: given };
}
