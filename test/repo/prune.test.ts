/** What pruning leaves when it is cut off. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { pruneRepository } from '../../src/repo/prune.ts';
import { Repo } from '../../src/repo/repo.ts';
import { unpackGoldenRepo } from '../golden-repo.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('prune');
});
afterAll(() => removeDirectory(scratch));

it('leaves no commit whose objects are gone', () => {
  const path = unpackGoldenRepo('basic', 'archive', scratch);
  rmSync(join(path, 'refs'), { recursive: true });
  for (const folder of ['heads', 'remotes', 'mirrors'])
    mkdirSync(join(path, 'refs', folder), { recursive: true });
  const objects = (extension: string) =>
    readdirSync(join(path, 'objects'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      (name as string).endsWith(extension),
    );
  expect(objects('.commit').length).toBeGreaterThan(1);
  const files = objects('.filez').length;
  // The first object in the order of names, which cannot be deleted.
  mkdirSync(join(path, 'objects/00', `${'0'.repeat(62)}.filez`), { recursive: true });
  expect(() => pruneRepository(Repo.open(byteString(path)), [])).toThrow(/^Deleting object 0{64}\.file/);
  expect(objects('.commit')).toEqual([]);
  expect(objects('.filez').length).toBe(files + 1);
});
