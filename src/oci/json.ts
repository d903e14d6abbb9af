/** The JSON of images, which comes from strangers: nothing in it is believed before its type is checked. @module */
import { type ByteString, byteStringFrom, decodeUtf8, utf8ByteString } from '../core/bytes/byte-string.ts';
import { malformed } from '../core/errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** Parses a document. @throws SealtreeError `malformed` */
export function parseJson(data: Uint8Array, what: string): unknown {
  const text = decodeUtf8(byteStringFrom(data));
  if (text === undefined) throw malformed(`${what}: not UTF-8`);
  try {
    return JSON.parse(text.replace(/^\ufeff/, ''));
  } catch {
    throw malformed(`${what}: not JSON`);
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** @throws SealtreeError `malformed` */
export function objectOf(value: unknown, what: string): JsonObject {
  if (!isObject(value)) throw malformed(`${what}: expected an object`);
  return value;
}

/** @throws SealtreeError `malformed` */
export function listOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(`${what}: expected a list`);
  return value;
}

/** @throws SealtreeError `malformed` */
export function textOf(value: unknown, what: string): string {
  if (typeof value !== 'string') throw malformed(`${what}: expected a text`);
  return value;
}

/** A text as the bytes of a name. @throws SealtreeError `malformed` */
export function nameOf(value: unknown, what: string): ByteString {
  return utf8ByteString(textOf(value, what));
}
