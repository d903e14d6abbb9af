/** The composefs vectors (test/vectors/composefs/ORIGIN.md) and what tests do with them. @module */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { type ByteString, byteString } from '../src/core/bytes/byte-string.ts';
import { readDump } from '../src/core/dumpfile/read.ts';
import { writeDump } from '../src/core/dumpfile/write.ts';
import type { FormatVersions } from '../src/core/erofs/order.ts';
import { writeImage } from '../src/core/erofs/writer.ts';
import type { Inode } from '../src/core/fs/file-tree.ts';

export const COMPOSEFS_VECTORS = new URL('vectors/composefs/', import.meta.url).pathname;

/** Names of the fifty dump files. */
export const DUMP_NAMES = readdirSync(COMPOSEFS_VECTORS)
  .filter((name) => name.endsWith('.dump'))
  .map((name) => name.slice(0, -5))
  .sort();

/** Those of which composefs-info prints backing paths with bytes too many. */
export const OVER_READ = new Set([
  '08-chunk-sizes',
  '30-overlay-escapes',
  '40-payload-lengths',
  '43-many-inodes',
]);

/** Versions as the goldens name them: `0`, `1` or `default(=N)`. */
export function versionsOf(golden: string): FormatVersions {
  if (golden.startsWith('default')) return { minVersion: 0, maxVersion: 1 };
  return { minVersion: Number(golden), maxVersion: Number(golden) };
}

/** Rows of a tab-separated vector file, without the heading. */
export function tableRows(name: string): string[][] {
  const lines = readFileSync(COMPOSEFS_VECTORS + name, 'latin1').split('\n');
  return lines.filter((line, index) => index > 0 && line !== '').map((line) => line.split('\t'));
}

/** The text of a dump file, `01-empty-root` or `errors/e01-no-root`. */
export function dumpText(name: string): ByteString {
  return byteString(readFileSync(`${COMPOSEFS_VECTORS}${name}.dump`, 'latin1'));
}

/** What composefs-info printed of the image of a dump file. */
export function infoText(name: string, command: 'dump' | 'ls' | 'objects', version: string): ByteString {
  const plain = `${COMPOSEFS_VECTORS}info/${name}.${command}.gz`;
  const path = existsSync(plain) ? plain : `${COMPOSEFS_VECTORS}info/${name}.v${version}.${command}.gz`;
  return byteString(gunzipSync(readFileSync(path)).toString('latin1'));
}

export function treeOf(dump: string): Inode {
  return readDump([byteString(dump)]);
}

export function dumpOf(tree: Inode): ByteString {
  let text = '';
  writeDump(tree, (part) => {
    text += part;
  });
  return byteString(text);
}

export function imageOf(tree: Inode, versions?: FormatVersions): Uint8Array {
  const chunks: Uint8Array[] = [];
  writeImage(tree, versions, (chunk) => chunks.push(chunk));
  return new Uint8Array(Buffer.concat(chunks));
}

export function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}
