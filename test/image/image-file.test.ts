/** Files that an image is written to. @module */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { openPendingFile } from '../../src/image/image-file.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('image-file');
});
afterAll(() => removeDirectory(scratch));

const image = Buffer.from('the new image');

describe('a file beside which no other can be made', () => {
  let folder: string;
  let path: string;
  beforeAll(() => {
    // So deep that the temporary name beside it is longer than a path may be, which root cannot get around either.
    folder = scratch;
    while (folder.length < 4090) folder = `${folder}/${'d'.repeat(Math.min(250, 4092 - folder.length - 1))}`;
    mkdirSync(folder, { recursive: true });
    path = `${folder}/i`;
  });
  beforeEach(() => writeFileSync(path, 'what was there, which is longer'));

  it('is written in place', () => {
    const file = openPendingFile(byteString(path), 'opening');
    file.write(image.subarray(0, 4));
    file.write(image.subarray(4));
    file.finish();
    file.discard();
    expect(readFileSync(path)).toEqual(image);
    expect(readdirSync(folder)).toEqual(['i']);
  });

  it('is as it was until something is written', () => {
    const file = openPendingFile(byteString(path), 'opening');
    file.discard();
    file.discard();
    expect(readFileSync(path, 'latin1')).toBe('what was there, which is longer');
  });

  it('is empty if it is not written to the end', () => {
    const file = openPendingFile(byteString(path), 'opening');
    file.write(image);
    file.discard();
    expect(readFileSync(path, 'latin1')).toBe('');
  });

  it('is not made', () => {
    expect(() => openPendingFile(byteString(`${path}2345`), 'opening')).toThrow(
      'opening: File name too long',
    );
  });
});
