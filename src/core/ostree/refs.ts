/**
 * Names of refs, remotes and collections, and of a ref in a remote (`remote:ref`).
 * Defined by ostree's source: segments of word characters, dots and hyphens that begin with a word character; a word
 * character is Unicode's letter, number, non-spacing mark or connector.
 * @module
 */
import { type ByteString, decodeUtf8, displayByteString, utf8ByteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';

const WORD = '\\p{L}\\p{N}\\p{Mn}\\p{Pc}';
const SEGMENT = `[${WORD}][-.${WORD}]*`;
const REF = `(?:${SEGMENT}/)*${SEGMENT}`;

const REF_PATTERN = new RegExp(`^${REF}$`, 'u');
const SEGMENT_PATTERN = new RegExp(`^${SEGMENT}$`, 'u');
const REFSPEC_PATTERN = new RegExp(`^(?:(${SEGMENT}):)?(${REF})\\n?$`, 'u');

export interface Refspec {
  /** Undefined for a local ref. */
  readonly remote: ByteString | undefined;
  readonly ref: ByteString;
}

/**
 * Splits `remote:ref` or `ref`.
 *
 * @throws SealtreeError `malformed` in the words of the real tool
 */
export function parseRefspec(refspec: ByteString): Refspec {
  const match = REFSPEC_PATTERN.exec(decodeUtf8(refspec) ?? '');
  if (match === null) throw malformed(`Invalid refspec ${displayByteString(refspec)}`);
  const [, remote, ref] = match;
  return {
    remote: remote === undefined ? undefined : utf8ByteString(remote),
    ref: utf8ByteString(ref as string),
  };
}

/** `remote:ref`, or the ref alone. */
export function formatRefspec({ remote, ref }: Refspec): ByteString {
  return remote === undefined ? ref : (`${remote}:${ref}` as ByteString);
}

/**
 * Checks the name of a ref.
 *
 * @throws SealtreeError `malformed` in the words of the real tool
 */
export function validateRef(ref: ByteString): void {
  const text = decodeUtf8(ref);
  if (text === undefined) throw malformed('Invalid ref name: not valid UTF-8');
  if (!REF_PATTERN.test(text)) throw malformed(`Invalid ref name ${displayByteString(ref)}`);
}

/** Whether a file name can be a segment of a ref: what else lies in a directory of refs is none. */
export function isRefSegment(name: ByteString): boolean {
  const text = decodeUtf8(name);
  return text !== undefined && SEGMENT_PATTERN.test(text);
}

/**
 * Checks the name of a remote.
 *
 * @throws SealtreeError `malformed` in the words of the real tool
 */
export function validateRemoteName(name: ByteString): void {
  if (!isRefSegment(name)) throw malformed(`Invalid remote name ${displayByteString(name)}`);
}

/**
 * Checks a collection id: two or more elements of `[A-Za-z0-9_]`, joined by dots, none beginning with a digit; at
 * most 255 bytes.
 *
 * @throws SealtreeError `malformed` in the words of the real tool
 */
export function validateCollectionId(id: ByteString): void {
  const isValid = /^[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)+$/.test(id) && id.length <= 255;
  if (!isValid) throw malformed(`Invalid collection ID ${displayByteString(id)}`);
}
