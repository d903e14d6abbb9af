/**
 * What a verb of the command line is: data from which parsing, --help, man pages, completion and the
 * compatibility tests are all made, and one function that runs it.
 * @module
 */
import type { ByteString } from '../core/bytes/byte-string.ts';
import type { Output } from './output.ts';
import type { TOOLS } from './tool-names.ts';

/**
 * Whose manners a verb has: how its words are parsed, how it words its errors and which status it exits with.
 * `sealtree` verbs follow docs/exit-status.md; the others do as the tool of that name does.
 */
export type Tool = (typeof TOOLS)[number];

export interface OptionSpec {
  /** `-b, --branch <branch>`, `--orphan`, `--sign [secret]`. Every option has a long name. */
  readonly flags: string;
  readonly description: string;
  /** Only sealtree's own name offers it: called as the real tool it is an unknown option. */
  readonly ownOnly?: boolean;
  /** What stands in place of `flags` when called as the real tool, where the two differ: `--sign <secret>`. */
  readonly realFlags?: string;
  /**
   * What the value must be, checked while the words are parsed as GLib does for the option types of these
   * names: `text` is UTF-8, `int` fits 32 bits and `int64` 64 bits (decimal, 0x hexadecimal or 0 octal).
   */
  readonly kind?: 'text' | 'int' | 'int64';
}

export interface Verb {
  readonly tool: Tool;
  /** Words after the program's name; `[]` for a tool without verbs, such as mkcomposefs. */
  readonly path: readonly string[];
  /** One line, a verb phrase, no full stop. */
  readonly summary: string;
  /** Operands as they stand in the usage line, GNU style: `REV [DESTINATION]`; empty for none. */
  readonly operands: string;
  readonly options: readonly OptionSpec[];
  /** Command lines that work as written. */
  readonly examples: readonly string[];
  /** Paragraphs for the man page, in plain text. */
  readonly description?: readonly string[];
  /** Options end at the first operand, and what follows belongs to a command that the verb runs. */
  readonly runsCommand?: boolean;
  run(context: Context): Promise<number | undefined> | number | undefined | Promise<void> | void;
}

export interface Context {
  /** The name the program was called by; `sealtree ostree …` counts as `ostree`. */
  readonly program: Tool;
  /** Operands, raw bytes as the shell gave them. */
  readonly args: readonly ByteString[];
  readonly options: OptionValues;
  /** Results; byte exact, buffered, flushed at exit. */
  readonly stdout: Output;
  /** Messages for people. */
  readonly stderr: Output;
}

/** The options of one call, by long name without dashes. */
export interface OptionValues {
  /** Whether the option was given at all, with or without a value. */
  has(name: string): boolean;
  /** The last value given. */
  value(name: string): ByteString | undefined;
  /** All values in the order given; a bare `--sign` of an option with optional value counts as ''. */
  values(name: string): readonly ByteString[];
  /** The last value of an option of kind `int` or `int64`. */
  integer(name: string): bigint | undefined;
}

/** What the words after a verb came to. */
export type Parsed =
  | { readonly args: ByteString[]; readonly options: OptionValues }
  /** `--help` or `--version` was asked for. */
  | 'help'
  | 'version';
