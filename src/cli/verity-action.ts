/** What the actions of veritysetup have in common: how many operands they need, how they end, which root hash they have. @module */
import { closeSync } from 'node:fs';
import { type ByteString, byteStringFrom, displayByteString } from '../core/bytes/byte-string.ts';
import { bytesFromHex } from '../core/bytes/hex.ts';
import { SealtreeError } from '../core/errors.ts';
import { openDevice, readFully } from '../node/device.ts';
import { STATUS_DETAIL, VERITY_STATUS, verityError } from '../verity/errors.ts';
import { checkOptions, poptError } from './popt.ts';
import type { Context } from './verb.ts';
import type { VerityAction } from './veritysetup-options.ts';

const OPERANDS: Readonly<Record<VerityAction, string>> = {
  format: '<data_device> <hash_device>',
  verify: '<data_device> <hash_device> [<root_hash>]',
  open: '<data_device> <name> <hash_device> [<root_hash>]',
  close: '<name>',
  status: '<name>',
  dump: '<hash_device>',
};

const STATUS_TEXT: Readonly<Record<number, string>> = {
  [VERITY_STATUS.parameters]: 'wrong or missing parameters',
  [VERITY_STATUS.permission]: 'no permission or bad passphrase',
  [VERITY_STATUS.memory]: 'out of memory',
  [VERITY_STATUS.device]: 'wrong device or file specified',
  [VERITY_STATUS.busy]: 'device already exists or device is busy',
};

/**
 * Runs an action and tells how it ended if that was asked for.
 *
 * @param work returns the status, if it has told what was wrong itself
 * @returns the status to exit with
 */
export async function runAction(
  action: VerityAction,
  context: Context,
  work: () => Promise<number> | number,
): Promise<number> {
  const { options, stdout, stderr } = context;
  checkCall(action, context);
  let status: number;
  try {
    status = await work();
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    const given = error.detail[STATUS_DETAIL];
    status = typeof given === 'number' ? given : VERITY_STATUS.parameters;
    stdout.flush();
    stderr.line(error.message);
  }
  if (options.has('verbose') || options.has('debug')) {
    const text = STATUS_TEXT[status] ?? 'unknown error';
    stdout.line(status === 0 ? 'Command successful.' : `Command failed with code -${status} (${text}).`);
  }
  return status;
}

/** @throws SealtreeError `usage` if there are too few operands, or options that are not for this action */
export function checkCall(action: VerityAction, { args, options }: Context): void {
  const needed = OPERANDS[action].split(' ').filter((operand) => !operand.startsWith('[')).length;
  if (args.length < needed) throw poptError(`${action}: requires ${OPERANDS[action]} as arguments`);
  checkOptions(action, options);
}

/**
 * The root hash, from the command line or a file.
 *
 * @param operand undefined if the command line has none
 * @param size bytes that it must have
 */
export function rootHashOf({ options }: Context, operand: ByteString | undefined, size: number): Uint8Array {
  const file = options.value('root-hash-file');
  const text = file === undefined ? operand : readRootHash(file, 2 * size);
  try {
    const root = bytesFromHex(text ?? '');
    if (root.length === size) return root;
  } catch {
    // As with a wrong length.
  }
  throw verityError('usage', 'Invalid root hash string specified.');
}

/** Before anything is opened: whether there is a root hash at all. */
export function needRootHash({ options }: Context, operand: ByteString | undefined): void {
  if (operand !== undefined || options.has('root-hash-file')) return;
  throw verityError('usage', 'Command requires <root_hash> or --root-hash-file option as argument.');
}

function readRootHash(path: ByteString, digits: number): ByteString {
  const shown = displayByteString(path);
  const data = new Uint8Array(digits);
  try {
    const { fd, isFile } = openDevice(path);
    try {
      if (isFile && readFully(fd, 0, data)) return byteStringFrom(data);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (!(error instanceof SealtreeError))
      throw verityError('missing', `Cannot read root hash file ${shown}.`);
  }
  throw verityError('malformed', `Invalid root hash file ${shown}.`);
}
