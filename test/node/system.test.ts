import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { realPath } from '../../src/core/verify/boot-target.ts';
import { nodeSystem } from '../../src/node/system.ts';

describe('nodeSystem', () => {
  let root: string;
  const at = (name: string) => byteString(join(root, name));

  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), 'sealtree-system-'));
    mkdirSync(join(root, 'directory'));
    writeFileSync(join(root, 'directory/file'), 'content');
    symlinkSync('directory/../directory', join(root, 'link'));
    symlinkSync('loop', join(root, 'loop'));
  });
  afterAll(() => rmSync(root, { recursive: true }));

  it('says what stands at a path, without following it', () => {
    expect(nodeSystem.kindOf(at('directory'))).toBe('directory');
    expect(nodeSystem.kindOf(at('link'))).toBe('symlink');
    expect(nodeSystem.kindOf(at('link/file'))).toBe('file');
    expect(nodeSystem.kindOf(byteString('/dev/null'))).toBe('other');
    expect(nodeSystem.kindOf(at('none'))).toBeUndefined();
    expect(nodeSystem.kindOf(at('directory/file/below'))).toBeUndefined();
    expect(() => nodeSystem.kindOf(at('loop/below'))).toThrow('Too many levels of symbolic links');
  });

  it('says on which file system something is, and what the kernel answers for', () => {
    const kind = execFileSync('stat', ['-f', '-c', '%t', root], { encoding: 'latin1' }).trim();
    expect(nodeSystem.fileSystemOf(at('directory'))).toBe(Number.parseInt(kind, 16));
    expect(nodeSystem.fileSystemOf(at('none'))).toBeUndefined();
    expect(nodeSystem.fileSystemOf(byteString('/proc'))).toBe(0x9fa0);
    // What a new file is, whether the file system knows fs-verity or not; with it on: test/boot.
    expect(nodeSystem.examineVerity(at('directory/file'))).toEqual({
      fileSystem: Number.parseInt(kind, 16),
      enforced: false,
      digest: undefined,
    });
    expect(nodeSystem.examineVerity(at('none'))).toBeUndefined();
  });

  it('gives what a path without links is made of', () => {
    expect(realPath(nodeSystem, at('link/file'))).toBe(at('directory/file'));
    const real = (path: string) => realPath(nodeSystem, byteString(`${root}/${path}`));
    expect(real('link/.././link//.')).toBe(at('directory'));
    expect(real('directory/./../../../../../../..')).toBe('/');
    for (const path of ['link/none', 'none/..', 'directory/file/..']) expect(real(path)).toBeUndefined();
    expect(() => realPath(nodeSystem, at('loop'))).toThrow('Too many levels of symbolic links');
  });
});
