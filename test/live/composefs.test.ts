/** Trees at random: what mkcomposefs and composefs-info 1.0.8 make of them is what is expected. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect } from 'vitest';
import { memorySource } from '../../src/core/erofs/image-source.ts';
import { readImage } from '../../src/core/erofs/reader.ts';
import { dumpOf, imageOf, treeOf } from '../composefs-vectors.ts';
import { realOk } from '../peers.ts';
import { dumpFiles } from '../random-dump.ts';
import { requires } from '../requires.ts';

const TREES = 150;

const { it } = requires({ peers: true });

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtree-composefs-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

it('images of random trees are those of mkcomposefs, and read as composefs-info reads them', () => {
  const seed = Number(process.env.SEALTREE_FUZZ_SEED ?? Date.now() % 2 ** 31);
  console.log(`SEALTREE_FUZZ_SEED=${seed}`);
  const path = join(folder, 'tree.dump');
  const image = join(folder, 'image');
  for (const dump of fc.sample(dumpFiles, { seed, numRuns: TREES })) {
    writeFileSync(path, dump, 'latin1');
    for (const version of [0, 1]) {
      const options = [`--min-version=${version}`, `--max-version=${version}`];
      realOk('mkcomposefs', ['--from-file', ...options, path, image]);
      const theirs = readFileSync(image);
      const ours = imageOf(treeOf(dump), { minVersion: version, maxVersion: version });
      if (!theirs.equals(ours)) expect.fail(`another image in version ${version} of\n${dump}`);
      const lines = realOk('composefs-info', ['dump', image]).split('\n');
      const own = dumpOf(readImage(memorySource(ours))).split('\n');
      expect(own.length).toBe(lines.length);
      for (const [index, line] of own.entries())
        expect(withoutOverRead(lines[index] as string, line)).toBe(
          withoutUnread(line, lines[index] as string),
        );
    }
  }
});

/** Their line without the bytes that composefs-info reads beyond a backing path of 3 modulo 4 bytes. */
function withoutOverRead(line: string, own: string): string {
  const fields = line.split(' ');
  const payload = own.split(' ')[8] ?? '';
  if (fields[8]?.startsWith(payload) && /^(\\x..|\\.|.){1,2}$/.test(fields[8].slice(payload.length))) {
    fields[8] = payload;
  }
  return fields.join(' ');
}

/**
 * Our line without the attribute that composefs-info passes over: the last one in the inode if it takes four bytes,
 * for its name is all prefix and its value empty.
 */
function withoutUnread(line: string, theirs: string): string {
  const read = theirs.split(' ');
  const isUnread = (field: string, index: number) =>
    index > 10 &&
    /^(user\.|trusted\.|security\.|system\.posix_acl_(access|default))=$/.test(field) &&
    !read.includes(field);
  const fields = line.split(' ');
  const unread = fields.findIndex(isUnread);
  if (unread >= 0) fields.splice(unread, 1);
  return fields.join(' ');
}
