/** Which verb a command line names, found as the program that was called would find it. @module */
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { parseGOption } from './goption.ts';
import { type Option, optionOf } from './option.ts';
import { isRefusedVerb, refusal } from './refused.ts';
import { toolNamed } from './tool-names.ts';
import { optionError, usageError } from './usage.ts';
import type { Tool, Verb } from './verb.ts';
import { VERBS } from './verbs.ts';

export interface Found {
  readonly program: Tool;
  /** Its key in VERBS. */
  readonly name: string;
  readonly verb: Verb;
  /** What is left of the command line without the words of the verb. */
  readonly words: readonly ByteString[];
}

/** A command line that names no verb: what to do instead. */
export interface NotFound {
  readonly program: Tool;
  readonly verb?: undefined;
  readonly wanted: 'help' | 'version' | Error;
}

/** @param words the command line without the program's name */
export async function findVerb(program: Tool, words: readonly ByteString[]): Promise<Found | NotFound> {
  switch (program) {
    case 'sealtree': {
      const other = toolNamed(words[0] ?? '');
      if (other !== undefined && other !== 'sealtree') {
        // Those of the other programs that have no --help are told here.
        return words.length === 2 && words[1] === '--help'
          ? notFound(other, 'help')
          : findVerb(other, words.slice(1));
      }
      return findOwn(words);
    }
    case 'ostree':
      return findOstree(words);
    case 'fsverity':
      return findFsverity(words);
    case 'veritysetup':
      return findVeritysetup(words);
    case 'mkcomposefs':
    case 'composefs-info':
    case 'mount.composefs':
    case 'dmverity-vhd':
      return (await load(program, program, words)) ?? notFound(program, usageError(refusal(program)));
  }
}

/** The most words, three at most, that name a verb; options may stand before and between them. */
async function findOwn(words: readonly ByteString[]): Promise<Found | NotFound> {
  for (const { name, rest } of possibleNames(words)) {
    const found = await load('sealtree', name, rest);
    if (found !== undefined) return found;
    if (name.includes(' ') && isRefusedVerb('ostree', name))
      return notFound('sealtree', optionError(refusal(`ostree ${name}`)));
  }
  const first = words.findIndex((word) => !word.startsWith('-'));
  const leading = first < 0 ? words : words.slice(0, first);
  if (leading.includes('--help' as ByteString) || leading.includes('-h' as ByteString)) {
    return notFound('sealtree', 'help');
  }
  if (leading.includes('--version' as ByteString)) return notFound('sealtree', 'version');
  if (leading.length > 0) return notFound('sealtree', optionError(`unknown option '${shown(leading[0])}'`));
  if (first < 0) return notFound('sealtree', usageError('no command specified'));
  const named = shown(words[first]);
  if (isRefusedVerb('ostree', named)) {
    return notFound('sealtree', optionError(refusal(`ostree ${named}`)));
  }
  return notFound('sealtree', usageError(`unknown command '${named}'`));
}

/** The first word that is no option is the command, wherever it stands; of `admin` so is the next, and of `admin kargs`. */
async function findOstree(words: readonly ByteString[]): Promise<Found | NotFound> {
  for (const { name, rest } of possibleNames(words)) {
    const found = await load('ostree', name, rest);
    if (found?.verb.tool === 'ostree') return found;
    if (isRefusedVerb('ostree', name)) return notFound('ostree', optionError(refusal(`ostree ${name}`)));
  }
  const at = words.findIndex((word) => !word.startsWith('-'));
  const rest = words.filter((_, i) => i !== at);
  try {
    const parsed = parseGOption(GLOBAL_OPTIONS, rest, () => {});
    if (typeof parsed === 'string') return notFound('ostree', parsed);
  } catch (error) {
    return notFound('ostree', usageError((error as Error).message));
  }
  return notFound(
    'ostree',
    usageError(at < 0 ? 'No command specified' : `Unknown command '${shown(words[at])}'`),
  );
}

/** The first words that are no options, the most of them first, and what is left without them. */
function* possibleNames(words: readonly ByteString[]): Generator<{ name: string; rest: ByteString[] }> {
  const places = words.flatMap((word, at) => (word.startsWith('-') ? [] : [at]));
  for (let length = Math.min(places.length, 3); length > 0; length--) {
    const used = places.slice(0, length);
    const name = used.map((at) => words[at]).join(' ');
    yield { name, rest: words.filter((_, at) => !used.includes(at)) };
  }
}

const GLOBAL_OPTIONS: readonly Option[] = ['-v, --verbose', '--version'].map((flags) =>
  optionOf({ flags, description: '' }),
);

/** The first word is the command. */
async function findFsverity(words: readonly ByteString[]): Promise<Found | NotFound> {
  const name = words[0];
  if (name === undefined) return notFound('fsverity', usageError('no command specified'));
  const found = await load('fsverity', `fsverity ${name}`, words.slice(1));
  if (found !== undefined) return found;
  if (isRefusedVerb('fsverity', name)) {
    return notFound('fsverity', optionError(refusal(`fsverity ${name}`)));
  }
  for (const word of words) {
    if (word === '--help') return notFound('fsverity', 'help');
    if (word === '--version') return notFound('fsverity', 'version');
    if (word === '--') break;
  }
  return notFound('fsverity', usageError(`unrecognized command: '${shown(name)}'`));
}

/** The first operand is the action, wherever it stands. Two have an older name, of which one had its operands in another order. */
async function findVeritysetup(words: readonly ByteString[]): Promise<Found | NotFound> {
  const { parseVeritysetup, poptError } = await import('./popt.ts');
  const { optionWords } = await import('./veritysetup-options.ts');
  try {
    const parsed = parseVeritysetup(words);
    if (typeof parsed === 'string') return notFound('veritysetup', parsed);
    const [named, ...operands] = parsed.args;
    if (named === undefined) throw poptError('Argument <action> missing.');
    const action = { create: 'open', remove: 'close' }[named as string] ?? named;
    const [name, data, ...rest] = operands;
    const ordered =
      named === 'create' && name !== undefined && data !== undefined ? [data, name, ...rest] : operands;
    const given = optionWords(parsed.options);
    const found = await load('veritysetup', `verity ${action}`, [...given, '--' as ByteString, ...ordered]);
    if (found === undefined) throw poptError('Unknown action.');
    return found;
  } catch (error) {
    return notFound('veritysetup', error as Error);
  }
}

async function load(program: Tool, name: string, words: readonly ByteString[]): Promise<Found | undefined> {
  if (!Object.hasOwn(VERBS, name)) return undefined;
  const module = await VERBS[name]?.();
  return module && { program, name, verb: module.verb, words };
}

function notFound(program: Tool, wanted: NotFound['wanted']): NotFound {
  return { program, wanted };
}

function shown(word: ByteString | undefined): string {
  return word === undefined ? '' : displayByteString(word);
}
