/** `sealtree keys verify`: whether key files can be used, and belong together. @module */
import { statSync } from 'node:fs';
import { type ByteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { EXIT_STATUS } from '../../core/errors.ts';
import { isUsableKey } from '../../core/sign/ed25519.ts';
import { fsPath } from '../../node/fs-path.ts';
import { ioError } from '../../node/io-error.ts';
import { type KeyLine, readKeyFile } from '../key-file.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'sealtree',
  path: ['keys', 'verify'],
  summary: 'check key files, and that secret and public keys belong together',
  operands: 'FILE…',
  options: [{ flags: '--json', description: 'print the findings as JSON' }],
  examples: ['sealtree keys verify build.secret build.public'],
  description: [
    'Checks of each file: every line is a key; a public key is a point that signatures can be verified with (canonical, not of small order); the public half of a secret key belongs to its seed; a secret file is closed to all but its owner. With files of both kinds every secret key must have its public key among them.',
    'The exit status is 0 if all is well and 3 if not.',
  ],
  run,
};

interface Finding {
  readonly file: string;
  readonly hex: string;
  readonly kind: KeyLine['kind'];
  /** Empty if all is well. */
  readonly faults: string[];
}

function run({ args, options, stdout }: Context): number {
  if (args.length === 0) throw usageError('keys verify needs a key file');
  const files = args.map((path) => ({ path, keys: readKeyFile(path) }));
  const publicKeys = new Set(
    files.flatMap(({ keys }) => keys.filter(({ kind }) => kind === 'public').map(({ hex }) => hex)),
  );
  const findings = files.flatMap(({ path, keys }) =>
    keys.map((key): Finding => {
      const { file, hex, kind } = key;
      return { file, hex, kind, faults: [...faultsOf(key, path), ...strangers(key, publicKeys)] };
    }),
  );
  if (options.has('json')) stdout.line(JSON.stringify(findings));
  else
    for (const { file, hex, kind, faults } of findings)
      stdout.line(`${file}: ${kind} key ${hex}: ${faults.length === 0 ? 'good' : faults.join('; ')}`);
  return findings.every(({ faults }) => faults.length === 0) ? 0 : EXIT_STATUS.mismatch;
}

function faultsOf({ kind, publicKey }: KeyLine, path: ByteString): string[] {
  if (kind === 'public') return isUsableKey(publicKey) ? [] : ['no signature verifies with such a key'];
  const mode = modeOf(path);
  return (mode & 0o077) === 0
    ? []
    : [`others may read the file: mode is 0${mode.toString(8)}, expected 0600`];
}

function strangers({ kind, hex }: KeyLine, publicKeys: ReadonlySet<string>): string[] {
  if (kind === 'public' || publicKeys.size === 0 || publicKeys.has(hex)) return [];
  return ['its public key is in none of the files'];
}

function modeOf(path: ByteString): number {
  try {
    return statSync(fsPath(path)).mode & 0o777;
  } catch (error) {
    throw ioError(displayByteString(path), error);
  }
}
