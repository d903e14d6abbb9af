/**
 * Both tools on the same trees: what ostree 2026 and mkcomposefs 1.0.8 print and write is what is expected.
 */
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peersRoot, real, realOk } from '../peers.ts';
import { requires } from '../requires.ts';
import { sealtreeOk } from '../run.ts';
import { makeDeepTree, makeEdgeTree, makeWideTree, removeDirectory, scratchDirectory } from '../trees.ts';

const MODES = ['archive', 'bare', 'bare-user', 'bare-user-only'] as const;
const COMMIT = [
  '--branch=test/tree',
  '--generate-composefs-metadata',
  '--fsync=false',
  '--timestamp=@1700000000',
  '--subject=A tree',
];

const needs = requires({ root: true, peers: true });

needs.describe('a tree committed by both tools:', () => {
  let scratch = '';
  beforeAll(() => {
    scratch = scratchDirectory('trees');
  });
  afterAll(() => removeDirectory(scratch));

  const trees: readonly [name: string, make: (path: string) => string][] = [
    ['the root of a Debian system', () => peersRoot() as string],
    ['its usr/share', () => join(peersRoot() as string, 'usr/share')],
    ['its usr/lib', () => join(peersRoot() as string, 'usr/lib')],
    ['names, sizes, modes, owners, links and xattrs at the edge', makeEdgeTree],
    ['70,000 entries in a directory', (path) => makeWideTree(path, 70_000)],
    ['1,000 directories in each other', (path) => makeDeepTree(path, 1_000)],
  ];

  for (const [index, [name, make]] of trees.entries()) {
    describe(name, () => {
      let tree = '';
      let at = (_file: string): string => '';
      beforeAll(() => {
        at = (file) => join(scratch, `${index}-${file}`);
        tree = make(at('tree'));
      });

      for (const mode of MODES) {
        it(`has the same commit and digest in ${mode}`, () => {
          const [theirs, ours] = [at(`theirs-${mode}`), at(`ours-${mode}`)];
          const init = (repo: string) => ['init', `--repo=${repo}`, `--mode=${mode}`];
          const commit = (repo: string) => ['commit', `--repo=${repo}`, ...COMMIT, tree];
          realOk('ostree', init(theirs));
          sealtreeOk(init(ours), { program: 'ostree' });
          const expected = realOk('ostree', commit(theirs));
          expect(sealtreeOk(commit(ours), { program: 'ostree' })).toBe(expected);
          expect(readFileSync(join(ours, 'config'), 'latin1')).toBe(
            readFileSync(join(theirs, 'config'), 'latin1'),
          );
          expect(objects(ours)).toEqual(objects(theirs));

          expect(realOk('ostree', ['fsck', `--repo=${ours}`])).toContain('no errors found');
          expect(sealtreeOk(['fsck', `--repo=${theirs}`], { program: 'ostree' })).toContain(
            'no errors found',
          );

          for (const kind of ['--composefs-noverity', '--composefs']) {
            const image = (repo: string, path: string) => [
              'checkout',
              `--repo=${repo}`,
              kind,
              'test/tree',
              path,
            ];
            realOk('ostree', image(ours, at(`theirs-${mode}.cfs`)));
            sealtreeOk(image(theirs, at(`ours-${mode}.cfs`)), { program: 'ostree' });
            expectSameFile(at(`ours-${mode}.cfs`), at(`theirs-${mode}.cfs`));
          }
          const digest = sealtreeOk(['fsverity', 'digest', '--compact', at(`ours-${mode}.cfs`)]).trim();
          const shown = [
            'show',
            `--repo=${ours}`,
            '--print-metadata-key=ostree.composefs.digest.v0',
            '--print-hex',
            'test/tree',
          ];
          expect(realOk('ostree', shown).trim()).toBe(digest);
          expect(sealtreeOk(shown, { program: 'ostree' }).trim()).toBe(digest);
          for (const path of [theirs, ours]) removeDirectory(path);
        });
      }

      it('has the same image as by mkcomposefs', () => {
        const args = ['--use-epoch', '--print-digest', tree];
        expect(sealtreeOk([...args, at('ours.cfs')], { program: 'mkcomposefs' })).toBe(
          realOk('mkcomposefs', [...args, at('theirs.cfs')]),
        );
        expectSameFile(at('ours.cfs'), at('theirs.cfs'));
        for (const options of [[], ['--user-xattrs'], ['--skip-xattrs', '--min-version=1']]) {
          const call = ['--print-digest-only', ...options, tree];
          expect(sealtreeOk(call, { program: 'mkcomposefs' })).toBe(realOk('mkcomposefs', call));
        }
      });

      it('has the same listing by composefs-info, and the same image from it', () => {
        const image = at('theirs.cfs');
        for (const command of ['ls', 'objects', 'dump', 'measure-file']) {
          const { signal, stdout: expected } = real('composefs-info', [command, image]);
          const listing = sealtreeOk([command, image], { program: 'composefs-info' });
          if (signal === 'SIGSEGV') continue; // The real one overflows its stack in a tree as deep as this.
          expect(listing === expected, command).toBe(true);
          if (command !== 'dump') continue;
          writeFileSync(at('dump'), expected, 'latin1');
          const args = ['--from-file', '--print-digest', at('dump')];
          expect(sealtreeOk([...args, at('ours-again.cfs')], { program: 'mkcomposefs' })).toBe(
            realOk('mkcomposefs', [...args, at('theirs-again.cfs')]),
          );
          expectSameFile(at('ours-again.cfs'), at('theirs-again.cfs'));
        }
      });
    });
  }

  it('is stored by mkcomposefs in the same digest store', () => {
    const tree = join(peersRoot() as string, 'usr/bin');
    const call = (who: string) => [`--digest-store=${join(scratch, who)}`, tree, join(scratch, `${who}.cfs`)];
    realOk('mkcomposefs', call('store-theirs'));
    sealtreeOk(call('store-ours'), { program: 'mkcomposefs' });
    expect(files(join(scratch, 'store-ours'))).toEqual(files(join(scratch, 'store-theirs')));
    expect(
      realOk('composefs-info', [
        `--basedir=${join(scratch, 'store-ours')}`,
        'missing-objects',
        join(scratch, 'store-theirs.cfs'),
      ]),
    ).toBe('');
  });

  it('of names that are not UTF-8 and the longest symlinks has the same image by mkcomposefs', () => {
    const tree = join(scratch, 'bytes');
    makeDeepTree(tree, 1);
    writeFileSync(Buffer.concat([Buffer.from(`${tree}/`), Buffer.from([0xff, 0xfe, 0x80])]), 'bytes');
    for (const length of [4063, 4064, 4090, 4095])
      symlinkSync('x/'.repeat(2048).slice(0, length), join(tree, `link-${length}`));
    const call = ['--print-digest-only', tree];
    expect(sealtreeOk(call, { program: 'mkcomposefs' })).toBe(realOk('mkcomposefs', call));
  });

  it('has the same fs-verity digests, file by file', () => {
    const folder = join(peersRoot() as string, 'usr/bin');
    const paths = readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .slice(0, 150)
      .map((entry) => join(folder, entry.name));
    for (const options of [[], ['--hash-alg=sha512'], ['--block-size=1024', '--salt=00ff10']]) {
      const call = ['digest', ...options, ...paths];
      expect(sealtreeOk(call, { program: 'fsverity' })).toBe(realOk('fsverity', call));
    }
  });
});

/** Names of all objects; the bytes behind most names are proved by fsck, and those of deflate are the encoder's own. */
function objects(repo: string): string[] {
  return files(join(repo, 'objects'));
}

function files(path: string): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, encoding: 'latin1' }).sort();
}

/** Without a difference of megabytes in the report. */
function expectSameFile(ours: string, theirs: string): void {
  expect(readFileSync(ours).equals(readFileSync(theirs)), `${ours} and ${theirs} are the same`).toBe(true);
}
