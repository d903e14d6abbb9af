/** What the kernel shows of our images, mounted with overlayfs over the objects of a repository. */
import { lstatSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { compareTrees } from '../compare-trees.ts';
import { mountNamespace, type Namespace } from '../namespace.ts';
import { peersRoot } from '../peers.ts';
import { requires } from '../requires.ts';
import { link, sealtreeOk } from '../run.ts';
import { makeDeepTree, makeEdgeTree, makeWideTree, removeDirectory, scratchDirectory } from '../trees.ts';

/** What composefs adds to a root that lacks them (ostree, "composefs" in its documentation). */
const ADDED = ['boot', 'etc', 'sysroot', 'usr', 'var'];

const needs = requires({ root: true, mount: ['erofs', 'overlay', 'tmpfs'] });

needs.describe('an image mounted by the kernel', () => {
  let scratch = '';
  let namespace: Namespace;
  beforeAll(async () => {
    scratch = scratchDirectory('kernel');
    namespace = await mountNamespace();
    sealtreeOk(['init', `--repo=${join(scratch, 'repo')}`, '--mode=bare'], { program: 'ostree' });
    namespace.sh('mount -t tmpfs tmpfs /mnt; mkdir /mnt/erofs /mnt/root');
  });
  afterAll(async () => {
    await namespace.close();
    removeDirectory(scratch);
  });

  const trees: readonly [name: string, make: (path: string) => string | undefined][] = [
    ['the root of a Debian system', () => peersRoot()],
    ["this machine's /usr/share/perl", () => '/usr/share/perl'],
    ['names, sizes, modes, owners, links and xattrs at the edge', makeEdgeTree],
    ['30,000 entries in a directory', (path) => makeWideTree(path, 30_000)],
    ['1,000 directories in each other', (path) => makeDeepTree(path, 1_000)],
  ];

  for (const [index, [name, make]] of trees.entries()) {
    it(`shows every path, mode, owner, xattr and byte of ${name}`, (context) => {
      const tree = make(join(scratch, `${index}-tree`));
      if (tree === undefined) return context.skip('needs the real tools, whose root is the tree');
      const repo = join(scratch, 'repo');
      const image = join(scratch, `${index}.cfs`);
      const ostree = (args: string[]) => sealtreeOk(args, { program: 'ostree' });
      ostree(['commit', `--repo=${repo}`, `--branch=t${index}`, '--generate-composefs-metadata', tree]);
      ostree(['checkout', `--repo=${repo}`, '--composefs-noverity', `t${index}`, image]);
      namespace.sh(
        `mount -t erofs -o ro,loop "$1" /mnt/erofs
         mount -t overlay -o "ro,metacopy=on,redirect_dir=on,lowerdir=/mnt/erofs::$2/objects" overlay /mnt/root`,
        image,
        repo,
      );
      try {
        const mounted = namespace.path('/mnt/root');
        const { entries, differences } = compareTrees(tree, mounted, { extra: ADDED, committed: true });
        expect(differences).toEqual([]);
        expect(entries).toBeGreaterThan(20);
        expect(lstatSync(join(mounted, 'usr')).mtimeMs).toBe(0);
      } finally {
        namespace.sh('umount /mnt/root; umount /mnt/erofs');
      }
      return undefined;
    });
  }

  it('is mounted the same by sealtree mount', () => {
    const tree = makeEdgeTree(join(scratch, 'mount-tree'));
    const [store, image] = [join(scratch, 'store'), join(scratch, 'mount.cfs')];
    sealtreeOk(['mkcomposefs', `--digest-store=${store}`, tree, image]);
    const mount = [process.execPath, link(), 'mount', '-o', `basedir=${store}`, image, '/mnt/root'];
    const umount = [process.execPath, link(), 'umount', '/mnt/root'];
    expect(namespace.run(mount)).toMatchObject({ status: 0, stderr: '' });
    const { differences } = compareTrees(tree, namespace.path('/mnt/root'));
    expect(namespace.run(umount)).toMatchObject({ status: 0, stderr: '' });
    expect(differences).toEqual([]);
    expect(namespace.sh('findmnt -rn -o TARGET | grep /mnt/root || true')).toBe('');
  });
});
