/**
 * The verbs that read repositories, run on a changed and sealed commit in a real folder, and `verify` on changed
 * images that are asked for by the digest that they now have.
 * @module
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../src/core/bytes/hex.ts';
import { SealtreeError } from '../../src/core/errors.ts';
import { verityDigest } from '../../src/core/verity/digest.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { nodeSystem } from '../../src/node/system.ts';
import { verifyImage } from '../../src/repo/verify-target.ts';
import { runProgram } from './in-process.ts';
import { type KnownObjects, memoryRepo, type Objects } from './memory-repo.ts';
import { writeArchive } from './mutated-repo.ts';
import { makeSealedCase, privateKeyObject, type SealedCase, sealCase } from './sealed-targets.ts';
import { imageTarget, type Seeds, type Target } from './targets.ts';

/** Targets that work in a folder, and what removes it. */
export interface FolderTargets {
  readonly targets: readonly Target[];
  remove(): void;
}

export function folderTargets(seeds: Seeds): FolderTargets {
  const folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'sealtree-fuzz-'));
  return {
    targets: [repositoryTarget(folder, seeds), imageFileTarget(folder, seeds)] as Target[],
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A sealed case: its last commit names the image of its tree and is signed, if there is such an image. */
interface RepositoryCase extends SealedCase {
  readonly sealed: boolean;
}

function repositoryTarget(folder: string, seeds: Seeds): Target<RepositoryCase> {
  const bases = seeds.archives.map((objects, i) => {
    const path = join(folder, `repo-${i}`);
    const others = [...objects].filter(([name]) => !isCommit(name));
    writeArchive(path, new Map(others));
    return { path, objects: new Map(others), known: new Map() as KnownObjects };
  });
  const [pair] = seeds.keyPairs as [Uint8Array];
  const secret = privateKeyObject(pair);
  const key = Buffer.from(pair.subarray(32)).toString('base64');
  return {
    name: 'verbs on a repository',
    cases: 400,
    make(random) {
      const made = makeSealedCase(random, seeds.archives, undefined);
      const { objects, known } = bases[made.archive] as (typeof bases)[number];
      try {
        const commit = sealCase(memoryRepo(objects, known, made.changed), made.changed, made.commit, secret);
        return { ...made, commit, sealed: true };
      } catch (error) {
        if (!(error instanceof SealtreeError)) throw error;
        return { ...made, sealed: false };
      }
    },
    async check({ archive, changed, commit, sealed }) {
      const { path, objects } = bases[archive] as (typeof bases)[number];
      const added: Objects = new Map(
        [...changed].filter(([name]) => name.includes(commit) || !isCommit(name)),
      );
      writeArchive(path, added);
      const checkout = join(folder, 'checkout');
      try {
        const repo = `--repo=${path}`;
        const refusals: string[] = [];
        for (const [program, ...words] of [
          ['ostree', 'show', '--raw', commit, repo],
          ['ostree', 'ls', '-R', '-C', '-X', commit, repo],
          ['ostree', 'fsck', '--all', '--quiet', repo],
          ['ostree', 'checkout', '-U', commit, checkout, repo],
          ['sealtree', 'verify', `--key=${key}`, commit, repo],
        ] as const) {
          const { stderr, stdout, status } = await runProgram(program, words);
          if (stderr.includes('checksum expected='))
            throw new Error(`an object under a wrong name: ${stderr}`);
          if (status === 0) continue;
          refusals.push(`${words[0]}: ${stderr}${words[0] === 'verify' ? stdout : ''}`);
          if (words[0] === 'verify' && sealed) throw new Error(`sealed, and refused:\n${refusals.at(-1)}`);
        }
        if (refusals.length > 0)
          throw new SealtreeError('malformed', refusals.join('\n'), { refusals: refusals.length });
      } finally {
        rmSync(checkout, { recursive: true, force: true });
        restore(path, added, objects);
      }
    },
    // What `show` takes is a commit.
    passedHeader: (_, error) => !error.message.startsWith('show:'),
  };
}

function isCommit(name: string): boolean {
  return /\.commit(meta)?$/.test(name);
}

/** Takes the objects of a case away again. */
function restore(path: string, added: Objects, objects: Objects): void {
  for (const name of added.keys()) {
    const file = join(path, 'objects', name.slice(0, 2), name.slice(2));
    const old = objects.get(name);
    if (old === undefined) rmSync(file);
    else writeFileSync(file, old);
  }
}

function imageFileTarget(folder: string, seeds: Seeds): Target<Uint8Array> {
  const path = join(folder, 'image');
  return {
    ...imageTarget(seeds.images),
    name: 'image by its digest',
    cases: 600,
    async check(image) {
      writeFileSync(path, image);
      const digest = hexOf(verityDigest(opensslHash, image));
      const options = { system: nodeSystem, bootOnly: false };
      const found = await verifyImage(byteString(path), digest, [byteString(folder)], options);
      const failed = found.checks.find(({ status }) => status === 'failed');
      if (failed?.name === 'image digest') throw new Error(failed.message);
      if ((failed === undefined) !== (found.plan !== undefined)) throw new Error('a plan and a failed check');
      if (failed !== undefined) throw new SealtreeError('malformed', failed.message);
    },
  };
}
