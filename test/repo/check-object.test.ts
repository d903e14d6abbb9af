/** One flipped bit in any byte of any object of a golden repository is found, and the message names the object. */
import { chmodSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import type { ObjectType } from '../../src/core/ostree/objects.ts';
import { getXattr, setXattr } from '../../src/node/syscalls.ts';
import { checkObject } from '../../src/repo/check-object.ts';
import { Repo } from '../../src/repo/repo.ts';
import { unpackGoldenRepo } from '../golden-repo.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('flips');
});
afterAll(() => removeDirectory(scratch));

/** Bytes of a file in which bits are flipped one after the other; of a large one every so many. */
const LIMIT = 600;

function contentOf(repo: Repo, checksum: string): string {
  const { header, size, content } = repo.file(checksum);
  const pieces = [...content()].map((piece) => Buffer.from(piece).toString('latin1'));
  return JSON.stringify([header, size, pieces.join('')]);
}

describe.each(['archive', 'bare-user'])('a flipped bit in a repository of mode %s', (mode) => {
  it('is found in every object', () => {
    const folder = join(scratch, mode);
    mkdirSync(folder);
    const repo = Repo.open(byteString(unpackGoldenRepo('xattrs', mode, folder)));
    const objects: { type: ObjectType; checksum: string }[] = [];
    repo.forEachObject((type, checksum) => objects.push({ type, checksum }));
    let flips = 0;
    for (const object of objects) {
      const { type, checksum } = object;
      // Its bytes are vouched for by signatures alone.
      if (type === 'commitmeta') continue;
      const path = repo.objectFile(type, checksum);
      const original = readFileSync(path);
      const sound = type === 'file' ? contentOf(repo, checksum) : '';
      if (type === 'file' && mode === 'bare-user') chmodSync(path, lstatSync(path).mode | 0o200);
      for (let at = 0; at < original.length; at += Math.max(1, Math.floor(original.length / LIMIT))) {
        const damaged = Buffer.from(original);
        damaged[at] = (damaged[at] as number) ^ (1 << ((at * 5) % 8));
        writeFileSync(path, damaged);
        flips++;
        const finding = checkObject(repo, object);
        if (finding === undefined && type === 'file' && contentOf(repo, checksum) === sound) continue;
        const place = `${checksum}.${type}, byte ${at}`;
        expect(finding?.message.replaceAll('/', ''), place).toContain(checksum);
        expect(finding?.message, place).not.toContain('\n');
      }
      writeFileSync(path, original);
      expect(checkObject(repo, object)).toBeUndefined();
    }
    expect(flips).toBeGreaterThan(1000);
  });
});

it('finds a flipped bit in what bare-user keeps of owner, mode and xattrs', () => {
  const folder = join(scratch, 'ostreemeta');
  mkdirSync(folder);
  const repo = Repo.open(byteString(unpackGoldenRepo('xattrs', 'bare-user', folder)));
  const key = byteString('user.ostreemeta');
  repo.forEachObject((type, checksum) => {
    if (type !== 'file') return;
    const path = repo.objectFile('file', checksum);
    const original = getXattr(path, key) as string;
    for (let at = 0; at < original.length; at++) {
      const damaged = String.fromCharCode(original.charCodeAt(at) ^ (1 << (at % 8)));
      setXattr(path, key, byteString(original.slice(0, at) + damaged + original.slice(at + 1)));
      expect(checkObject(repo, { type, checksum })?.message, `${checksum}, byte ${at}`).toContain(checksum);
    }
    setXattr(path, key, byteString(original));
  });
});
