/** `sealtree keys generate`: a new Ed25519 pair in ostree's key files. @module */
import { closeSync, fchmodSync, fsyncSync, openSync, unlinkSync } from 'node:fs';
import { type ByteString, byteString, bytesOf, displayByteString } from '../../core/bytes/byte-string.ts';
import { hexOf } from '../../core/bytes/hex.ts';
import { encodePublicKey, SEED_SIZE } from '../../core/sign/keys.ts';
import { writeAll } from '../../node/atomic-file.ts';
import { fsPath } from '../../node/fs-path.ts';
import { ioError } from '../../node/io-error.ts';
import { onExit } from '../../node/on-exit.ts';
import { encodeSecretKey, makeSecretKey } from '../../node/secret.ts';
import { forbidDumps } from '../../node/secret-memory.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'sealtree',
  path: ['keys', 'generate'],
  summary: 'make an Ed25519 key pair',
  operands: '[NAME]',
  options: [
    { flags: '--secret <file>', description: 'file for the secret key (default: NAME.secret)' },
    { flags: '--public <file>', description: 'file for the public key (default: NAME.public)' },
    { flags: '--json', description: 'print what was made as JSON' },
  ],
  examples: [
    'sealtree keys generate build',
    'sealtree keys generate --secret=/run/build.secret --public=build.public',
  ],
  description: [
    'The files are those that ostree reads: one line of base64, 64 bytes of seed and public key in the secret file, 32 bytes in the public one. Both must be new: a key is never overwritten. The secret file can be read by its owner only.',
    'For a key that is used once and never stored, see `keys transient`.',
  ],
  run,
};

function run({ args, options, stdout }: Context): void {
  const [name] = args;
  const secretFile = options.value('secret') ?? named(name, 'secret');
  const publicFile = options.value('public') ?? named(name, 'public');
  const allowDumps = forbidDumps();
  const key = makeSecretKey();
  const line = encodeSecretKey(key);
  try {
    const publicKey = key.slice(SEED_SIZE);
    writeNewFiles([
      { path: secretFile, mode: 0o600, data: line },
      { path: publicFile, mode: 0o644, data: bytesOf(encodePublicKey(publicKey)) },
    ]);
    const made = {
      publicKey: hexOf(publicKey),
      secretFile: displayByteString(secretFile),
      publicFile: displayByteString(publicFile),
    };
    if (options.has('json')) stdout.line(JSON.stringify(made));
    else stdout.line(`${made.publicKey}  ${made.publicFile}`);
  } finally {
    key.fill(0);
    line.fill(0);
    allowDumps();
  }
}

function named(name: ByteString | undefined, kind: string): ByteString {
  if (name === undefined) throw usageError(`keys generate needs a NAME, or both --secret and --public`);
  return byteString(`${name}.${kind}`);
}

interface NewFile {
  readonly path: ByteString;
  readonly mode: number;
  readonly data: Uint8Array;
}

/** Writes files that are not there yet; if one cannot be written none stays. */
function writeNewFiles(files: readonly NewFile[]): void {
  const made: ByteString[] = [];
  const remove = () => {
    for (const path of made) unlinkSync(fsPath(path));
  };
  const forget = onExit(remove);
  try {
    for (const { path, mode, data } of files) {
      try {
        const fd = openSync(fsPath(path), 'wx', mode);
        made.push(path);
        try {
          fchmodSync(fd, mode);
          writeAll(fd, data);
          fsyncSync(fd);
        } finally {
          closeSync(fd);
        }
      } catch (error) {
        throw ioError(`writing ${displayByteString(path)}`, error);
      }
    }
  } catch (error) {
    remove();
    throw error;
  } finally {
    forget();
  }
}
