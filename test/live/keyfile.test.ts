/** `config` against the real one, on files that are written by hand in every way that GKeyFile allows. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { parseKeyfile } from '../../src/core/conf/keyfile.ts';
import { real, realOk } from '../peers.ts';
import { requires } from '../requires.ts';
import { sealtree } from '../run.ts';

requires({ peers: true }).describe('config, on any file, beside ostree', () => {
  let scratch: string;
  let repo: string;
  let config: string;
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'sealtree-keyfile-'));
    repo = join(scratch, 'repo');
    config = join(repo, 'config');
    realOk('ostree', [`--repo=${repo}`, 'init', '--mode=archive']);
  });
  afterAll(() => rmSync(scratch, { recursive: true }));

  const core = '[core]\nrepo_version=1\nmode=archive-z2\n';
  const line = fc.constantFrom(
    ...['', '  ', '# comment', ' # indented', '[a]', '[a.b]', ' [remote "x"] ', '[core]', 'key=value'],
    ...[
      'spaced = value  ',
      'quoted="a;b#c"',
      'empty=',
      'key=again',
      'a b=c=d',
      'escaped=a\\sb\\n',
      ';semi=1',
    ],
    ...['name[de]=x', 'dotted.key=1', 'list=a;b;', 'invalid', '[bad', '=novalue', 'true=true', '\ttab=1'],
  );
  const text = fc
    .array(line, { maxLength: 8 })
    .map((lines) => `${core}${lines.map((l) => `${l}\n`).join('')}`);
  const group = fc.constantFrom('core', 'a', 'a.b', 'remote "x"', 'new');
  const key = fc.constantFrom('key', 'spaced', 'quoted', 'a b', 'fresh', 'dotted.key');
  const value = fc.constantFrom('v', ' leading', 'a\\b', 'a#b;c', '"q"', 'trailing ');

  /** Groups, keys and values, without what is between them. */
  const meaning = (file: string) => {
    const parsed = parseKeyfile(byteString(file), 'config');
    return parsed.groups.map((name) => [name, parsed.keys(name).map((k) => [k, parsed.value(name, k)])]);
  };
  const both = (before: string, args: readonly string[]) => {
    const words = [`--repo=${repo}`, 'config', ...args];
    writeFileSync(config, before);
    const theirs = { ran: real('ostree', words), file: readFileSync(config, 'latin1') };
    writeFileSync(config, before);
    const ours = { ran: sealtree(words, { program: 'ostree' }), file: readFileSync(config, 'latin1') };
    return { theirs, ours };
  };

  it('sets and unsets what it sets and unsets', () => {
    fc.assert(
      fc.property(text, group, key, value, fc.boolean(), (before, inGroup, name, to, unset) => {
        const args = [unset ? 'unset' : 'set', `--group=${inGroup}`, name, ...(unset ? [] : [to])];
        const { theirs, ours } = both(before, args);
        expect(ours.ran.status, ours.ran.stderr).toBe(theirs.ran.status);
        if (theirs.ran.status !== 0) {
          expect(ours.file).toBe(theirs.file);
          return;
        }
        expect(meaning(ours.file)).toEqual(meaning(theirs.file));
        // What ostree wrote is changed as ostree changes it, to the byte. A group that stood twice takes it two writes.
        writeFileSync(config, theirs.file);
        realOk('ostree', [`--repo=${repo}`, 'config', 'set', 'core.repo_version', '1']);
        const again = both(readFileSync(config, 'latin1'), args);
        expect(again.ours.file).toBe(again.theirs.file);
      }),
      { numRuns: 25 },
    );
  });

  it('gets what it gets', () => {
    fc.assert(
      fc.property(text, group, key, (before, inGroup, name) => {
        const { theirs, ours } = both(before, ['get', `--group=${inGroup}`, name]);
        expect([ours.ran.status, ours.ran.stdout]).toEqual([theirs.ran.status, theirs.ran.stdout]);
      }),
      { numRuns: 25 },
    );
  });
});
