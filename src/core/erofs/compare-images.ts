/** Says where two images differ: in the trees they hold, or else in their bytes. @module */
import { SealtreeError } from '../errors.ts';
import { type CompareOptions, compareTrees, describeDifference } from '../fs/compare.ts';
import type { ImageSource } from './image-source.ts';
import { readImage, readImageInfo } from './reader.ts';

const STEP = 1 << 16;

/**
 * Compares an image with the one it should be.
 *
 * @returns sentences for people, the first difference first; empty if the images are equal
 * @throws SealtreeError `malformed` if `expected` is no image
 */
export function compareImages(
  expected: ImageSource,
  found: ImageSource,
  options: CompareOptions = {},
): string[] {
  const offset = firstDifference(expected, found);
  if (offset === undefined) return [];
  const expectedTree = readImage(expected);
  const lines: string[] = [];
  try {
    const foundTree = readImage(found);
    lines.push(...compareTrees(expectedTree, foundTree, options).map(describeDifference));
    const wanted = readImageInfo(expected).version;
    const version = readImageInfo(found).version;
    if (version !== wanted) lines.push(`image: format version is ${version}, expected ${wanted}`);
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    lines.push(`image is damaged: ${error.message}`);
  }
  if (found.size !== expected.size) lines.push(`image: size is ${found.size}, expected ${expected.size}`);
  if (lines.length === 0) lines.push(`image: differs at offset ${offset}, though it holds the same tree`);
  return lines;
}

/** Offset of the first byte that differs, or where the shorter image ends; undefined if they are equal. */
export function firstDifference(a: ImageSource, b: ImageSource): number | undefined {
  const shared = Math.min(a.size, b.size);
  for (let at = 0; at < shared; at += STEP) {
    const length = Math.min(STEP, shared - at);
    const bytesA = a.read(at, length);
    const bytesB = b.read(at, length);
    for (let i = 0; i < length; i++) if (bytesA[i] !== bytesB[i]) return at + i;
  }
  return a.size === b.size ? undefined : shared;
}
