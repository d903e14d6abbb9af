import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readNotes, writeDocument } from '../../bench/document.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sealtree-test-'));
  for (const folder of ['docs', 'bench']) mkdirSync(join(root, folder));
});
afterEach(() => rmSync(root, { recursive: true }));

it('puts figures and a graph between the marks and leaves what is around them', () => {
  const path = join(root, 'docs/performance.md');
  writeFileSync(path, 'before\n<!-- measured -->\nold\n<!-- /measured -->\nafter\n');
  const points = [100, 1000].map((entries) => ({ entries, microseconds: 5, bytes: 900 }));
  writeDocument(root, 'new\n', [{ name: 'commit <first>', points }]);
  const text = readFileSync(path, 'utf8');
  expect(text).toMatch(
    /^before\n<!-- measured -->\nnew\n\n!\[.*\]\(performance-growth\.svg\)\n<!-- \/measured -->\nafter\n$/,
  );
  const graph = readFileSync(join(root, 'docs/performance-growth.svg'), 'utf8');
  expect(graph).toContain('commit &lt;first>');
  expect(graph).not.toMatch(/NaN|Infinity|undefined/);
});

it('refuses a document without marks', () => {
  writeFileSync(join(root, 'docs/performance.md'), 'text');
  expect(() => writeDocument(root, 'new\n', [])).toThrow('has no place for the figures');
});

it('finds notes by the heading above them', () => {
  writeFileSync(
    join(root, 'bench/notes.md'),
    '# Notes\n\n## fsck-archive\n\none\ntwo\n\n## start\n\nthree\n',
  );
  expect([...readNotes(root)]).toEqual([
    ['fsck-archive', 'one\n  two'],
    ['start', 'three'],
  ]);
});
