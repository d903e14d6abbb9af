/**
 * The same command lines for both tools, on the same repository: standard output, standard error and status are those
 * of the real ostree. Right and wrong calls alike.
 */
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareTrees } from '../compare-trees.ts';
import { real, realOk } from '../peers.ts';
import { requires } from '../requires.ts';
import { sealtree, sealtreeOk } from '../run.ts';
import { makeEdgeTree, makeFiles, removeDirectory, scratchDirectory } from '../trees.ts';

const needs = requires({ root: true, peers: true });
const MODES = ['archive', 'bare', 'bare-user', 'bare-user-only'] as const;

/** `@one` and so on are replaced by the commit's checksum, `@prefix` by the first six digits of the third one's. */
const READING = [
  'refs',
  'refs --list',
  'refs app',
  'refs --list app',
  'refs nothing',
  'rev-parse main',
  'rev-parse main^',
  'rev-parse main^^',
  'rev-parse main^^^',
  'rev-parse @prefix',
  'rev-parse @one',
  'rev-parse nothing',
  'rev-parse 0000000000000000000000000000000000000000000000000000000000000000',
  'rev-parse',
  'log main',
  'log @two',
  'log nothing',
  'log --raw main',
  'show main',
  'show @one',
  'show --raw main',
  'show nothing',
  'show --print-metadata-key=version main',
  'show --print-metadata-key=missing main',
  'show --print-metadata-key=ostree.composefs.digest.v0 main',
  'show --print-metadata-key=ostree.composefs.digest.v0 --print-hex main',
  'show --print-metadata-key=answer main',
  'show --list-metadata-keys main',
  'show --list-detached-metadata-keys main',
  'show --print-detached-metadata-key=note main',
  'show --print-sizes main',
  'ls main',
  'ls main /',
  'ls main /names',
  'ls -d main /names',
  'ls -R main',
  'ls -R -C main',
  'ls -R -X main',
  'ls -R -C -X main',
  'ls -C main /sizes',
  'ls -d -C main /sizes',
  'ls -X main /xattrs/one',
  'ls --nul-filenames-only main',
  'ls --nul-filenames-only -R main /sizes',
  'ls main /links/1',
  'ls main /links/directory',
  'ls main /not-there',
  'ls main names',
  'ls nothing',
  'ls',
  'cat main /sizes/65',
  'cat main /sizes/0',
  'cat main /sizes/64 /sizes/65',
  'cat main /sizes',
  'cat main /not-there',
  'cat main',
  'cat nothing /sizes/65',
  'diff @one @three',
  'diff @one main',
  'diff main main',
  'diff main',
  'diff @two @one',
  'diff nothing main',
  'diff --stats @one @three',
  'diff main @tree',
  'diff @one @tree',
  'fsck',
  'fsck -q',
  'fsck --quiet --all',
  'fsck --verify-bindings',
  'fsck --verify-bindings --verify-back-refs',
  'config get core.mode',
  'config get core.repo_version',
  'config get --group=core mode',
  'config get core.missing',
  'config get missing.key',
  'config get core',
  'config get',
  'config',
  'config wrong',
  'checkout main @tree',
  'checkout nothing @tree/x',
  'checkout --subpath=/not-there main @new',
  'no-such-verb',
  'show --no-such-option main',
  'checkout',
];

needs.describe('a command line for both tools', () => {
  let scratch = '';
  let tree = '';
  const commits: Record<string, string> = {};
  beforeAll(() => {
    scratch = scratchDirectory('verbs');
    tree = makeEdgeTree(join(scratch, 'tree'));
    for (const mode of MODES) {
      const repo = join(scratch, mode);
      realOk('ostree', ['init', `--repo=${repo}`, `--mode=${mode}`]);
      rmSync(join(tree, 'added'), { recursive: true, force: true });
      const commit = (seconds: number, ...args: string[]) =>
        realOk('ostree', [
          'commit',
          `--repo=${repo}`,
          '-b',
          'main',
          `--timestamp=@${seconds}`,
          ...args,
          tree,
        ]).trim();
      commits[`${mode} one`] = commit(1_600_000_000, '-s', 'The first');
      makeFiles(join(tree, 'added'), 6);
      writeFileSync(join(tree, 'sizes/65'), 'changed');
      commits[`${mode} two`] = commit(
        1_650_000_000,
        '-s',
        'The second',
        '-m',
        'With a body\nof two lines',
        '--add-metadata-string=version=2.0',
      );
      rmSync(join(tree, 'added/folder-2'), { recursive: true });
      symlinkSync('elsewhere', join(tree, 'added/folder-2'));
      commits[`${mode} three`] = commit(
        1_700_000_000,
        '--generate-composefs-metadata',
        '--add-metadata-string=version=3.0',
        '--add-metadata=answer=uint32 42',
        '--add-detached-metadata-string=note=kept apart',
      );
      realOk('ostree', ['refs', `--repo=${repo}`, '--create=app/x86_64/stable', 'main']);
      realOk('ostree', ['refs', `--repo=${repo}`, '--create=app/x86_64/testing', 'main^']);
    }
  });
  afterAll(() => removeDirectory(scratch));

  for (const mode of ['archive', 'bare'] as const) {
    it.each(READING)(`in ${mode}: ostree %s`, (line) => {
      const words = line.split(' ').map((word) =>
        word
          .replace('@prefix', commits[`${mode} three`]?.slice(0, 6) ?? '')
          .replace(/^@(one|two|three)$/, (_, name) => commits[`${mode} ${name}`] ?? '')
          .replace('@tree', tree)
          .replace('@new', join(scratch, 'new')),
      );
      const args = [`--repo=${join(scratch, mode)}`, ...words];
      const expected = real('ostree', args);
      const ran = sealtree(args, { program: 'ostree' });
      expect(ran.stdout).toBe(expected.stdout);
      expect(ran.stderr.replace(/^\n?Usage:[\s\S]*?(?=error:|$)/, '')).toBe(
        expected.stderr.replace(/^\n?Usage:[\s\S]*?(?=error:|$)/, ''),
      );
      expect(ran.status).toBe(expected.status);
    });
  }

  const CHECKOUTS = [
    [],
    ['-U'],
    ['-H'],
    ['-U', '-H'],
    ['-C'],
    ['-U', '-C'],
    ['--subpath=/sizes'],
    ['--subpath=/sizes/65'],
    ['--subpath=/names', '-U'],
    ['--union'],
    ['--union-add'],
    ['--union-identical', '-H'],
    ['-z', '-U'],
    ['--whiteouts'],
    ['--fsync=no'],
  ];

  for (const mode of MODES) {
    it.each(CHECKOUTS.map((options) => ({ call: options.join(' ') || 'without options', options })))(
      `in ${mode}: checkout $call`,
      ({ options }) => {
        const [theirs, ours] = [join(scratch, 'checkout-theirs'), join(scratch, 'checkout-ours')];
        const args = (target: string) => [
          `--repo=${join(scratch, mode)}`,
          'checkout',
          ...options,
          'main',
          target,
        ];
        const expected = real('ostree', args(theirs));
        const ran = sealtree(args(ours), { program: 'ostree' });
        try {
          expect({ ...ran, stderr: ran.stderr.replaceAll(ours, theirs) }).toEqual(expected);
          if (expected.status === 0) expect(compareTrees(theirs, ours).differences).toEqual([]);
        } finally {
          for (const path of [theirs, ours]) rmSync(path, { recursive: true, force: true });
        }
      },
    );
  }

  describe('that pulls from one repository into another', () => {
    it('whose ref the commit is not bound to', () => {
      const repo = join(scratch, 'pull-unbound');
      realOk('ostree', [`--repo=${repo}`, 'init', '--mode=archive']);
      const args = [`--repo=${repo}`, 'pull-local', join(scratch, 'archive'), 'app/x86_64/testing'];
      const expected = real('ostree', args);
      expect(expected.stderr).toContain('in ref binding metadata');
      expect(sealtree(args, { program: 'ostree' })).toEqual(expected);
    });

    for (const from of MODES) {
      for (const to of MODES) {
        it(`from ${from} to ${to}`, () => {
          const pull = (repo: string) => [`--repo=${repo}`, 'pull-local', join(scratch, from), 'main'];
          const [theirs, ours] = [join(scratch, 'pull-theirs'), join(scratch, 'pull-ours')];
          for (const repo of [theirs, ours]) realOk('ostree', [`--repo=${repo}`, 'init', `--mode=${to}`]);
          const expected = real('ostree', pull(theirs));
          const ran = sealtree(pull(ours), { program: 'ostree' });
          try {
            expect({ status: ran.status, stderr: anyObject(ran.stderr) }).toEqual({
              status: expected.status,
              stderr: anyObject(expected.stderr),
            });
            if (expected.status !== 0) return;
            for (const words of [['refs'], ['show', 'main'], ['ls', '-R', '-C', '-X', 'main']]) {
              expect(sealtreeOk([`--repo=${ours}`, ...words], { program: 'ostree' })).toBe(
                realOk('ostree', [`--repo=${theirs}`, ...words]),
              );
            }
            const [fsck, ofTheirs] = [ours, theirs].map((repo) => real('ostree', [`--repo=${repo}`, 'fsck']));
            expect({ ...fsck, stderr: fsck?.stderr }).toEqual({ ...ofTheirs, stderr: ofTheirs?.stderr });
            expect(
              realOk('ostree', [`--repo=${ours}`, 'show', '--print-detached-metadata-key=note', 'main']),
            ).toBe("'kept apart'\n");
          } finally {
            for (const path of [theirs, ours]) rmSync(path, { recursive: true, force: true });
          }
        });
      }
    }
  });
});

/** Which of several objects is refused first is a race in the real tool. */
function anyObject(stderr: string): string {
  return stderr.replace(/object [0-9a-f]{64}: invalid mode \d+ with bits \d+/, 'object: invalid mode');
}
