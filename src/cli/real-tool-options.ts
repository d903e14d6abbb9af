/** The options that a verb has as which tool, and its words parsed in the manner of the real tools. @module */
import type { ByteString } from '../core/bytes/byte-string.ts';
import { parseGetopt } from './getopt.ts';
import { parseGOption } from './goption.ts';
import { type Option, optionOf } from './option.ts';
import { isRefusedOption, refusal } from './refused.ts';
import { bareUsageError, optionError } from './usage.ts';
import type { OptionSpec, Parsed, Tool, Verb } from './verb.ts';

const REPO_OPTION: OptionSpec = {
  flags: '--repo <path>',
  description: 'Repository (default: the current directory if it is one, else /sysroot/ostree/repo)',
};
const SYSROOT_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--sysroot <path>',
    description: 'Sysroot (default: OSTREE_SYSROOT, else that of the running system)',
  },
  { flags: '--print-current-dir', description: 'Print the directory of the default deployment and exit' },
];
const VERBOSE_OPTION: OptionSpec = {
  flags: '-v, --verbose',
  description: 'Taken for compatibility, prints nothing more',
};
const VERSION_OPTION: OptionSpec = { flags: '--version', description: 'Print the version and exit' };

/** The option that every command of sealtree and ostree takes, and mount.composefs by its short name. */
const HELP_OPTION: Option = optionOf({ flags: '-h, --help', description: 'show this help' });
const POPT_HELP_OPTION: Option = optionOf({ flags: '--help', description: 'show this help' });

/** By which a verb shows its help: the short name is taken by another option of veritysetup. */
export function helpOptionOf(verb: Verb): Option {
  return verb.tool === 'veritysetup' ? POPT_HELP_OPTION : HELP_OPTION;
}

/** The options of `verb` as `program` offers them, with those that every verb of its tool has. */
export function optionsOf(verb: Verb, program: Tool): OptionSpec[] {
  const place = verb.path[0] === 'admin' ? SYSROOT_OPTIONS : [REPO_OPTION];
  const all =
    verb.tool === 'ostree' ? [...place, ...verb.options, VERBOSE_OPTION, VERSION_OPTION] : verb.options;
  if (program === 'sealtree') return [...all];
  return all
    .filter((option) => option.ownOnly !== true)
    .map((option) => ({ ...option, flags: option.realFlags ?? option.flags }));
}

/**
 * Parses the words after a verb of one of the real tools, or of ostree.
 *
 * @throws SealtreeError `usage` in the words of the verb's tool
 */
export function parseAsRealTool(verb: Verb, program: Tool, words: readonly ByteString[]): Parsed {
  const options = optionsOf(verb, program).map(optionOf);
  if (verb.tool === 'mount.composefs') options.push(HELP_OPTION);
  const called = [verb.tool, ...verb.path.filter((word) => word !== verb.tool)].join(' ');
  const refuse = (option: string) => {
    if (isRefusedOption(called, option)) throw optionError(refusal(`${called} ${option}`));
  };
  switch (verb.tool) {
    case 'ostree':
      return parseGOption(options, words, refuse);
    case 'fsverity':
      return wantedByFsverity(words) ?? getopt(verb.path.at(-1) ?? 'fsverity');
    default:
      return getopt(verb.tool);
  }

  /** @param name the program's name as getopt prints it */
  function getopt(name: string): Parsed {
    const long = verb.tool !== 'mount.composefs' || program === 'sealtree';
    const parsed = parseGetopt(options, words, {
      long,
      fail(problem, text, option) {
        if (problem === 'unknown') refuse(option);
        if (verb.tool !== 'mkcomposefs') return bareUsageError(`${name}: ${text}`);
        return problem === 'missing value' ? optionError('option needs a value') : bareUsageError('');
      },
    });
    return parsed.options.has('help') ? 'help' : parsed;
  }
}

/** `--help` or `--version`, whichever stands first among the words before `--`, as fsverity looks for them. */
function wantedByFsverity(words: readonly ByteString[]): 'help' | 'version' | undefined {
  for (const word of words) {
    if (word === '--') return undefined;
    if (word === '--help') return 'help';
    if (word === '--version') return 'version';
  }
  return undefined;
}
