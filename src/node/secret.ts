/**
 * Secret Ed25519 keys: made, read, used and forgotten.
 *
 * A secret is read as bytes, never as text, and the bytes are overwritten as soon as OpenSSL has the key, which
 * clears its own copy when the key is freed. What JavaScript cannot promise stands in docs/threat-model.md.
 * Key files: ostree-sign(1), src/core/sign/keys.ts. The DER forms: RFC 8410.
 * @module
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signData,
} from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { type ByteString, bytesOf, displayByteString, utf8ByteString } from '../core/bytes/byte-string.ts';
import { malformed, prefixed, SealtreeError } from '../core/errors.ts';
import { decodeBase64, encodeBase64 } from '../core/sign/base64.ts';
import { checkSecretKeySize, encodePublicKey, SECRET_KEY_SIZE, SEED_SIZE } from '../core/sign/keys.ts';
import { writeFileAtomically } from './atomic-file.ts';
import { fsPath, joinPath } from './fs-path.ts';
import { ioError, isErrno } from './io-error.ts';
import { forbidDumps } from './secret-memory.ts';

export interface Secret {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The 64 bytes of the signature of `data`. */
  sign(data: Uint8Array): Uint8Array;
  /** Forgets the key; core dumps of the process are possible again when the last one is forgotten. */
  destroy(): void;
}

/** PKCS #8 and SubjectPublicKeyInfo of an Ed25519 key up to its 32 bytes. */
const PKCS8_PREFIX = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const SPKI_PREFIX_SIZE = 12;

/** No key file is larger: some 700 keys. */
const FILE_LIMIT = 64 * 1024;
const NEWLINE = 0x0a;

/**
 * The secret of a base64 word, as `ostree sign` takes them as arguments.
 *
 * @throws SealtreeError `malformed` if it is not 64 bytes, or not a seed and the public key that belongs to it
 */
export function secretFromBase64(text: ByteString | Uint8Array): Secret {
  const encoded = typeof text === 'string' ? bytesOf(text) : text;
  const decoded = decodeBase64(encoded);
  if (typeof text === 'string') encoded.fill(0);
  return consume(decoded, secretFromKey);
}

/**
 * The secret in the first line of a key file, as `ostree commit --sign-from-file` reads it.
 *
 * @throws SealtreeError `io`, or `malformed` as {@link secretFromBase64}
 */
export function secretFromFile(path: ByteString): Secret {
  return consume(readKeyFile(path), (text) => {
    const line = firstLine(text);
    if (line.length === 0) {
      const what = text.length === 0 ? 'no key in it' : 'Invalid base64 blob format';
      throw malformed(`Reading ${displayByteString(path)}: ${what}`);
    }
    return secretFromBase64(line);
  });
}

/** The secret in the first line of what an inherited descriptor holds; `sealtree keys transient` gives such a one. */
export function secretFromDescriptor(fd: number): Secret {
  return consume(readDescriptor(fd), (text) => {
    const line = firstLine(text);
    if (line.length === 0) throw malformed(`descriptor ${fd}: no secret key to be read`);
    try {
      return secretFromBase64(line);
    } catch (error) {
      throw prefixed(`descriptor ${fd}`, error);
    }
  });
}

/**
 * The secrets of every line of a key file or descriptor, one after the other, as `ostree sign --keys-file` uses
 * them: the secret that `use` gets is forgotten when it returns.
 */
export function withEachSecret(source: ByteString | number, use: (secret: Secret) => void): void {
  withKeyLines(source, (line) => {
    const secret = secretFromBase64(line);
    try {
      use(secret);
    } finally {
      secret.destroy();
    }
  });
}

/**
 * Calls `use` with each line of a file or descriptor that may hold secrets; the bytes are overwritten afterwards.
 *
 * @throws SealtreeError `malformed` for an empty line
 */
export function withKeyLines(source: ByteString | number, use: (line: Uint8Array) => void): void {
  const text = typeof source === 'number' ? readDescriptor(source) : readKeyFile(source);
  consume(text, () => {
    for (let start = 0; start < text.length; ) {
      const line = firstLine(text.subarray(start));
      if (line.length === 0) throw malformed('Invalid base64 blob format');
      use(line);
      start += line.length + 1;
    }
  });
}

/** A new pair that is only in memory. */
export function makeSecret(): Secret {
  return consume(makeSecretKey(), secretFromKey);
}

/**
 * A new pair whose secret half is only in memory; the public half is written to a key file.
 *
 * @throws SealtreeError `io` if the file cannot be written; the secret is forgotten then
 */
export function makeTransientSecret(publicKeyFile: ByteString): Secret {
  const secret = makeSecret();
  try {
    writeFileAtomically(publicKeyFile, encodePublicKey(secret.publicKey), { mode: 0o644 });
    return secret;
  } catch (error) {
    secret.destroy();
    throw error;
  }
}

/** A new secret key in ostree's layout; the caller overwrites the 64 bytes when they have served. */
export function makeSecretKey(): Uint8Array {
  const pair = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { format: 'der', type: 'pkcs8' },
    publicKeyEncoding: { format: 'der', type: 'spki' },
  });
  const key = new Uint8Array(SECRET_KEY_SIZE);
  key.set(pair.privateKey.subarray(PKCS8_PREFIX.length));
  key.set(pair.publicKey.subarray(SPKI_PREFIX_SIZE), SEED_SIZE);
  pair.privateKey.fill(0);
  return key;
}

/** The line of a key file that holds this secret key; the caller overwrites it when it has served. */
export function encodeSecretKey(key: Uint8Array): Uint8Array {
  const encoded = encodeBase64(key);
  const line = new Uint8Array(encoded.length + 1);
  line.set(encoded);
  line[encoded.length] = NEWLINE;
  encoded.fill(0);
  return line;
}

/** Gives `data` to `use` and overwrites it whatever happens. */
function consume<T>(data: Uint8Array, use: (data: Uint8Array) => T): T {
  try {
    return use(data);
  } finally {
    data.fill(0);
  }
}

function secretFromKey(key: Uint8Array): Secret {
  checkSecretKeySize(key.length);
  const allowDumps = forbidDumps();
  try {
    let secret: KeyObject | undefined = importSeed(key.subarray(0, SEED_SIZE));
    const publicKey = exportPublicKey(secret);
    if (!publicKey.every((byte, i) => byte === key[SEED_SIZE + i]))
      throw malformed('Invalid ed25519 secret key: its public half does not belong to its seed');
    return {
      publicKey,
      sign(data) {
        if (secret === undefined) throw new SealtreeError('internal', 'secret key is used after its end');
        return new Uint8Array(signData(null, data, secret));
      },
      destroy() {
        secret = undefined;
        allowDumps();
      },
    };
  } catch (error) {
    allowDumps();
    throw error;
  }
}

function importSeed(seed: Uint8Array): KeyObject {
  const der = Buffer.alloc(PKCS8_PREFIX.length + SEED_SIZE);
  der.set(PKCS8_PREFIX);
  der.set(seed, PKCS8_PREFIX.length);
  return consume(der, () => createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
}

function exportPublicKey(secret: KeyObject): Uint8Array {
  const der = createPublicKey(secret).export({ format: 'der', type: 'spki' });
  return new Uint8Array(der.subarray(SPKI_PREFIX_SIZE));
}

function firstLine(text: Uint8Array): Uint8Array {
  const end = text.indexOf(NEWLINE);
  return end < 0 ? text : text.subarray(0, end);
}

function readKeyFile(path: ByteString): Uint8Array {
  let fd: number;
  const allowDumps = forbidDumps();
  try {
    fd = openSync(fsPath(path), 'r');
  } catch (error) {
    allowDumps();
    const absolute = path.startsWith('/') ? path : joinPath(utf8ByteString(process.cwd()), path);
    throw ioError(`Error opening file ${displayByteString(absolute)}`, error);
  }
  try {
    return readAll(fd, undefined, displayByteString(path));
  } finally {
    closeSync(fd);
    allowDumps();
  }
}

/** Reads from the start where the descriptor can be positioned, so that it can be read more than once. */
function readDescriptor(fd: number): Uint8Array {
  const allowDumps = forbidDumps();
  try {
    return readAll(fd, 0, `descriptor ${fd}`);
  } finally {
    allowDumps();
  }
}

function readAll(fd: number, start: number | undefined, what: string): Uint8Array {
  const buffer = Buffer.alloc(FILE_LIMIT + 1);
  try {
    let position = start;
    for (let length = 0; length <= FILE_LIMIT; ) {
      try {
        const count = readSync(fd, buffer, length, buffer.length - length, position ?? null);
        if (count === 0) return new Uint8Array(buffer.subarray(0, length));
        length += count;
        if (position !== undefined) position += count;
      } catch (error) {
        if (isErrno(error, 'ESPIPE') && position === 0) position = undefined;
        else if (isErrno(error, 'EAGAIN')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
        else throw ioError(`reading ${what}`, error);
      }
    }
    throw malformed(`${what}: too large for a key file`);
  } finally {
    buffer.fill(0);
  }
}
