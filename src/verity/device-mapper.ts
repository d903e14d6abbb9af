/**
 * Verity devices in the kernel. To set one up takes the device-mapper's ioctls, loop devices, the keyring and an agreement
 * with udev about every device that comes and goes; the distribution's veritysetup has all that, and is run.
 * @module
 */
import { accessSync, closeSync, constants, openSync, readFileSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { execa } from 'execa';
import { type ByteString, decodeUtf8, displayByteString } from '../core/bytes/byte-string.ts';
import { verityError } from './errors.ts';

const PROGRAM = 'veritysetup';
const FOLDERS = ['/usr/sbin', '/sbin', '/usr/local/sbin', '/usr/bin'];

/** Whether this kernel has a device-mapper, or loads one when it is asked. */
export function hasDeviceMapper(): boolean {
  try {
    closeSync(openSync('/dev/mapper/control', 'r'));
    return true;
  } catch {
    return readIfThere('/proc/misc').includes(' device-mapper');
  }
}

/**
 * Runs the distribution's veritysetup with this process's standard output and error.
 *
 * @param failure its status where there is no device-mapper, which differs by action
 * @returns the status it exits with
 * @throws SealtreeError `unsupported` without a device-mapper, or without that program
 */
export async function runVeritysetup(
  action: string,
  args: readonly ByteString[],
  failure: 'parameters' | 'device' = 'parameters',
): Promise<number> {
  if (!hasDeviceMapper()) {
    throw verityError(
      'unsupported',
      'Cannot initialize device-mapper. Is dm_mod kernel module loaded?\n' +
        'Only open, close and status need it; verify checks a device without.',
      failure,
    );
  }
  const program = findProgram();
  if (program === undefined) {
    throw verityError(
      'unsupported',
      `${action} is done by the distribution's ${PROGRAM} (package cryptsetup-bin), which is not installed`,
    );
  }
  const words = args.map((word) => {
    const text = decodeUtf8(word);
    if (text === undefined) throw verityError('usage', `${displayByteString(word)} is not UTF-8`);
    return text;
  });
  const { exitCode, signal } = await execa(program, [action, ...words], { stdio: 'inherit', reject: false });
  if (exitCode === undefined) throw verityError('io', `${program} was ended by ${signal}`);
  return exitCode;
}

/** Not a link of that name to this program. */
function findProgram(): string | undefined {
  const own = realPathOf(process.argv[1] ?? '');
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), ...FOLDERS];
  return folders
    .map((folder) => join(folder, PROGRAM))
    .find((path) => isExecutable(path) && realPathOf(path) !== own);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function realPathOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
