/**
 * Base64 as GLib decodes it (g_base64_decode), which is how ostree reads keys: characters that are not of the
 * alphabet are skipped wherever they stand, and a group of fewer than four characters at the end is dropped.
 * It works on bytes, so that a secret never becomes a string.
 * @module
 */
import { type ByteString, byteString } from '../bytes/byte-string.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const PADDING = 0x3d;
const RANKS = makeRanks();

/** Decodes the bytes of base64 text; the caller owns the only copy of the result. */
export function decodeBase64(text: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.floor(text.length / 4) * 3);
  let length = 0;
  let count = 0;
  let group = 0;
  let last = 0;
  let beforeLast = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i] as number;
    const rank = RANKS[char] as number;
    if (rank < 0) continue;
    beforeLast = last;
    last = char;
    group = ((group << 6) | rank) & 0xffffff;
    if (++count < 4) continue;
    count = 0;
    out[length++] = group >> 16;
    if (beforeLast !== PADDING) out[length++] = (group >> 8) & 255;
    if (last !== PADDING) out[length++] = group & 255;
  }
  const result = out.slice(0, length);
  out.fill(0);
  return result;
}

/** Encodes bytes with padding, as bytes of ASCII; the caller owns the only copy of the result. */
export function encodeBase64(data: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.ceil(data.length / 3) * 4);
  for (let i = 0, at = 0; i < data.length; i += 3) {
    const left = data.length - i;
    const group = ((data[i] as number) << 16) | ((data[i + 1] ?? 0) << 8) | (data[i + 2] ?? 0);
    out[at++] = ALPHABET.charCodeAt(group >> 18);
    out[at++] = ALPHABET.charCodeAt((group >> 12) & 63);
    out[at++] = left > 1 ? ALPHABET.charCodeAt((group >> 6) & 63) : PADDING;
    out[at++] = left > 2 ? ALPHABET.charCodeAt(group & 63) : PADDING;
  }
  return out;
}

/** Base64 of something that is no secret, as text. */
export function base64Of(data: Uint8Array): ByteString {
  return byteString(String.fromCharCode(...encodeBase64(data)));
}

function makeRanks(): Int8Array {
  const ranks = new Int8Array(256).fill(-1);
  for (let i = 0; i < ALPHABET.length; i++) ranks[ALPHABET.charCodeAt(i)] = i;
  ranks[PADDING] = 0;
  return ranks;
}
