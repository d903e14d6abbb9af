/** What `npm run man` writes and what is checked in are the same, and the man pages are readable. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { commandPages, fillMarked, manPages } from '../../src/cli/documents.ts';
import { allVerbs } from '../../src/cli/help.ts';
import { requires } from '../requires.ts';
import { run } from '../run.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const verbs = await allVerbs();

describe('npm run man keeps current', () => {
  it('docs/commands', async () => {
    const pages = await commandPages();
    expect(readdirSync(join(root, 'docs/commands')).sort()).toEqual([...pages.keys()].sort());
    for (const [name, text] of pages) {
      expect(readFileSync(join(root, 'docs/commands', name), 'utf8'), name).toBe(text);
    }
  });

  it.each(['README.md', 'docs/compatibility.md', 'docs/exit-status.md'])('the tables of %s', async (file) => {
    const text = readFileSync(join(root, file), 'utf8');
    expect(text).toMatch(/<!-- [a-z ]+ -->\n\|/);
    expect(await fillMarked(text)).toBe(text);
  });
});

describe('every verb', () => {
  it.each(verbs)('%s says what it does and shows how', (_name, { verb }) => {
    expect(verb.summary).toMatch(/[^.]$/);
    expect(verb.summary.length).toBeLessThan(80);
    expect(verb.examples.length).toBeGreaterThan(0);
    for (const { description } of verb.options) expect(description).toMatch(/[^.]$/);
  });
});

requires({ programs: ['mandoc'] }).it('has a man page that mandoc reads without an error', async () => {
  for (const [name, page] of await manPages('0')) {
    const { stdout } = run(['mandoc', '-T', 'lint', '-W', 'error'], { input: page });
    expect(stdout, name).toBe('');
  }
});
