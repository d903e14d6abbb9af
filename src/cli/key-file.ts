/** Key files of either kind, as the `keys` verbs look at them. @module */
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { malformed, prefixed } from '../core/errors.ts';
import { base64Of, decodeBase64 } from '../core/sign/base64.ts';
import { PUBLIC_KEY_SIZE } from '../core/sign/ed25519.ts';
import { SECRET_KEY_SIZE } from '../core/sign/keys.ts';
import { secretFromBase64, withKeyLines } from '../node/secret.ts';

/** One key of a file. Of a secret key only what everybody may know. */
export interface KeyLine {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  readonly kind: 'public' | 'secret';
  /** The public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly hex: string;
  readonly base64: string;
}

/**
 * The keys of a file, public and secret ones alike.
 *
 * @throws SealtreeError `io`, or `malformed` with file and line for what is neither
 */
export function readKeyFile(path: ByteString): KeyLine[] {
  const file = displayByteString(path);
  const keys: KeyLine[] = [];
  withKeyLines(path, (line) => {
    const number = keys.length + 1;
    try {
      const { kind, publicKey } = inspect(line);
      keys.push({ file, line: number, kind, publicKey, hex: hexOf(publicKey), base64: base64Of(publicKey) });
    } catch (error) {
      throw prefixed(`${file}: line ${number}`, error);
    }
  });
  if (keys.length === 0) throw malformed(`${file}: no key in it`, { path: file });
  return keys;
}

function inspect(line: Uint8Array): Pick<KeyLine, 'kind' | 'publicKey'> {
  const decoded = decodeBase64(line);
  if (decoded.length === PUBLIC_KEY_SIZE) return { kind: 'public', publicKey: decoded };
  const found = decoded.length;
  decoded.fill(0);
  if (found !== SECRET_KEY_SIZE) {
    throw malformed(
      `base64 of ${found} bytes, expected ${PUBLIC_KEY_SIZE} for a public or ${SECRET_KEY_SIZE} for a secret key`,
      { found },
    );
  }
  const secret = secretFromBase64(line);
  secret.destroy();
  return { kind: 'secret', publicKey: secret.publicKey };
}
