/**
 * The one error class of sealtree, and the exit status that each kind of failure has.
 * Data first, sentence second: `code` is closed, `detail` holds the facts, the message is for people.
 * @module
 */

/**
 * Code to process exit status of sealtree's own verbs; docs/exit-status.md is the same table.
 * Verbs that a real tool has exit with that tool's status (1 for every failure of ostree and mkcomposefs).
 * A number is never reused.
 */
export const EXIT_STATUS = {
  /** A bug in sealtree. */
  internal: 1,
  /** The command line is wrong. */
  usage: 2,
  /** A verification ran and the answer is no. */
  mismatch: 3,
  /** An input is not what its format says. */
  malformed: 4,
  /** An object, ref, key or file is not there. */
  missing: 5,
  /** This host, this build or this format version cannot do it. */
  unsupported: 6,
  /** The operating system said no. */
  io: 7,
} as const;

export type ErrorCode = keyof typeof EXIT_STATUS;

export type ErrorDetail = Readonly<Record<string, string | number>>;

/** Every failure that a user is told of: its code decides the exit status, its message is one line. */
export class SealtreeError extends Error {
  override readonly name = 'SealtreeError';
  readonly code: ErrorCode;
  /** The facts of the failure, for `--json` and for tests: never only in the message. */
  readonly detail: ErrorDetail;

  /**
   * @param code kind of failure, decides the exit status
   * @param message one line without full stop: the thing first, then what is wrong, then what was expected
   * @param detail facts such as `path`, `offset`, `expected`, `found`
   */
  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.detail = detail;
  }
}

/** An input that is not what its format says: `where: what`. */
export function malformed(message: string, detail?: ErrorDetail): SealtreeError {
  return new SealtreeError('malformed', message, detail);
}

/** Puts `prefix: ` before the message of an error that passes through a layer which knows more; keeps code and detail. */
export function prefixed(prefix: string, error: unknown): SealtreeError {
  if (error instanceof SealtreeError) {
    return new SealtreeError(error.code, `${prefix}: ${error.message}`, error.detail, { cause: error });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new SealtreeError('internal', `${prefix}: ${message}`, {}, { cause: error });
}
