/** The saved verbs and options of the real tools, test/vectors/help, made again from the tools that are here. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { poptUsage } from '../../src/cli/popt.ts';
import { real, realOk } from '../peers.ts';
import { requires } from '../requires.ts';

const { it } = requires({ peers: true });

function saved(file: string): string[] {
  const text = readFileSync(new URL(`../vectors/help/${file}`, import.meta.url), 'utf8');
  return text.split('\n').filter((line) => line !== '');
}

it('ostree --help and ostree VERB --help say what is saved', () => {
  const lines: string[] = [];
  const verbs = /Builtin Commands:\n((?: {2}.*\n)+)/.exec(realOk('ostree', ['--help']))?.[1] ?? '';
  const names = [...verbs.matchAll(/^ {2}(\S+)/gm)].map((match) => match[1] as string).sort();
  for (const name of names) {
    lines.push(`ostree ${name}`);
    const help = realOk('ostree', [name, '--help']);
    for (const [, option] of help.matchAll(/^ {2}(-(?:(?! {2}).)*)/gm))
      lines.push(`ostree ${name}\t${option}`);
  }
  expect(lines).toEqual(saved('ostree.tsv'));
});

it('ostree admin --help and ostree admin VERB --help say what is saved', () => {
  const lines: string[] = [];
  const verbs =
    /Builtin "admin" Commands:\n((?: {2}.*\n)+)/.exec(realOk('ostree', ['admin', '--help']))?.[1] ?? '';
  const names = [...verbs.matchAll(/^ {2}(\S+)/gm)].map((match) => match[1] as string).sort();
  for (const name of [...names, 'kargs edit-in-place']) {
    lines.push(`ostree admin ${name}`);
    const help = realOk('ostree', ['admin', ...name.split(' '), '--help']);
    for (const [, option] of help.matchAll(/^ {2}(-(?:(?! {2}).)*)/gm))
      lines.push(`ostree admin ${name}\t${option}`);
  }
  expect(lines).toEqual(saved('ostree-admin.tsv'));
});

it('mkcomposefs prints the options that are saved', () => {
  const options = [...real('mkcomposefs', []).stderr.matchAll(/^ {2}(--[\w-]+(?:=[A-Z]+)?)/gm)];
  expect(options.map(([, option]) => `mkcomposefs\t${option}`)).toEqual(
    saved('composefs.tsv').filter((line) => line.startsWith('mkcomposefs\t')),
  );
});

it('composefs-info and mount.composefs print the words that are saved', () => {
  const info = real('composefs-info', []).stderr;
  const mount = real('mount.composefs', []).stderr;
  for (const line of saved('composefs.tsv')) {
    const [called, word = line.split(' ')[1] ?? ''] = line.split('\t');
    if (called?.startsWith('composefs-info') && word !== '--filter=NAME') expect(info).toContain(word);
    if (called?.startsWith('mount.composefs')) expect(mount).toContain(word);
  }
});

it('veritysetup --help says what is saved, and what it prints with a wrong command line is what is printed here', () => {
  const help = realOk('veritysetup', ['--help']);
  const actions = [...help.matchAll(/^\t(\w+) </gm)].map(([, name]) => `veritysetup ${name}`);
  const options = help.slice(help.indexOf('--version'), help.indexOf('<action> is one of'));
  const lines = [...options.matchAll(/^ {2}(?:(-\w), | {4})(--\S+(?: string)?)/gm)].map(
    ([, short, long]) => `veritysetup\t${short === undefined ? '' : `${short}, `}${long}`,
  );
  expect([...actions, ...lines]).toEqual(saved('veritysetup.tsv'));
  expect(real('veritysetup', ['--usage']).stderr).toBe(poptUsage());
});

it('fsverity --help says what is saved', () => {
  const lines: string[] = [];
  for (const block of realOk('fsverity', ['--help']).split('\n\n')) {
    const name = /^ {4}fsverity ([a-z]\w+)/m.exec(block)?.[1];
    if (name === undefined) continue;
    lines.push(`fsverity ${name}`);
    for (const [option] of block.matchAll(/--[a-z][\w-]+(?:=[A-Z_]+)?/g))
      lines.push(`fsverity ${name}\t${option}`);
  }
  expect(lines).toEqual(saved('fsverity.tsv'));
});
