/** What `npm run man` writes and what is checked in are the same, and the man pages are readable. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { commandPages, fillMarked, manPages } from '../../src/cli/documents.ts';
import { findVerb } from '../../src/cli/find-verb.ts';
import { allVerbs } from '../../src/cli/help.ts';
import { parse } from '../../src/cli/program.ts';
import { byteString } from '../../src/core/bytes/byte-string.ts';
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

describe('every example', () => {
  const examples = verbs.flatMap(([name, { verb }]) =>
    verb.examples.map((example) => ({ name, verb, example })),
  );

  it.each(examples)('$example is a command line of $name', async ({ verb, example }) => {
    const words = (example.match(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g) ?? []).map((word) =>
      word.replace(/^'(.*)'$/, '$1'),
    );
    const start = words.findIndex((word) => /^(<\()?sealtree$/.test(word));
    const end = words.findIndex((word, at) => at > start && /^([|>;]|&&)|\)$/.test(word));
    const called = words.slice(start + 1, end < 0 || verb.runsCommand ? undefined : end).map(byteString);
    const found = await findVerb('sealtree', called);
    expect(found.verb?.examples).toBe(verb.examples);
    if (found.verb !== undefined) await parse(found.verb, found.program, found.words);
  });
});

requires({ programs: ['mandoc'] }).it('has a man page that mandoc reads without an error', async () => {
  for (const [name, page] of await manPages('0')) {
    const { stdout } = run(['mandoc', '-T', 'lint', '-W', 'error'], { input: page });
    expect(stdout, name).toBe('');
  }
});
