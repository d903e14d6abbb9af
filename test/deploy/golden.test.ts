/**
 * The whole disks that ostree 2026.4 made (test/vectors/ostree/deploy), made again: the repository is theirs, all else
 * has to come out the same.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect } from 'vitest';
import { requires } from '../requires.ts';
import { sealtree } from '../run.ts';
import { removeSysroot, sysrootDifferences } from '../sysroots.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const needs = requires({ root: true, programs: ['tar'] });

needs.describe('a golden sysroot', () => {
  let scratch = '';
  beforeAll(() => {
    scratch = scratchDirectory('golden-deploy');
  });
  afterAll(() => removeDirectory(scratch));

  for (const kind of ['yes', 'signed']) {
    needs.it(`whose prepare-root.conf says ${kind} comes out the same`, () => {
      const archive = fileURLToPath(
        new URL(`../vectors/ostree/deploy/sysroot-${kind}.tar.gz`, import.meta.url),
      );
      const unpack = (folder: string) => {
        mkdirSync(join(scratch, folder));
        const how = [
          '--xattrs',
          '--xattrs-include=*',
          '--numeric-owner',
          '--same-owner',
          '--same-permissions',
        ];
        execFileSync('tar', [
          '--extract',
          `--file=${archive}`,
          `--directory=${join(scratch, folder)}`,
          ...how,
        ]);
        return join(scratch, folder, kind);
      };
      const golden = unpack(`golden-${kind}`);
      // Not of ostree's making.
      rmSync(join(golden, 'x'), { recursive: true });
      const repo = join(unpack(`source-${kind}`), 'ostree/repo');
      rmSync(join(repo, 'refs/heads/ostree'), { recursive: true });
      const made = join(scratch, `made-${kind}`);
      mkdirSync(made);
      const ostree = (...args: readonly string[]) => {
        const ran = sealtree(['admin', ...args], { program: 'ostree' });
        expect(ran).toMatchObject({ stderr: '', status: 0 });
        return ran.stdout;
      };
      ostree('init-fs', made);
      rmSync(join(made, 'ostree/repo'), { recursive: true });
      renameSync(repo, join(made, 'ostree/repo'));
      ostree('os-init', `--sysroot=${made}`, 'golden');
      const kargs = ['--karg=root=LABEL=root', '--karg-append=rw'];
      expect(ostree('deploy', `--sysroot=${made}`, '--os=golden', ...kargs, 'golden/os')).toBe(
        "Relabeling /var (no stamp file 'var/.ostree-selabeled' found)\n" +
          'Bootloader updated; bootconfig swap: yes; bootversion: boot.1.1, deployment count change: 1\n',
      );
      // The archive does not keep immutable bits, and the lock of the repository is made when it is first taken.
      const differences = sysrootDifferences(golden, made).filter((line) => line !== 'immutable bits');
      removeSysroot(made);
      expect(differences).toEqual([]);
    });
  }
});
