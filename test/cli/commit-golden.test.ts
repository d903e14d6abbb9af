/** Every commit of the golden repositories made again: checksum, signature, and what lies in the repository. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect } from 'vitest';
import { byteString, byteStringFrom } from '../../src/core/bytes/byte-string.ts';
import { bytesFromHex } from '../../src/core/bytes/hex.ts';
import { decodeCommit } from '../../src/core/ostree/commit.ts';
import { lookup, REF_BINDING_KEY } from '../../src/core/ostree/metadata.ts';
import { getXattr, setXattr } from '../../src/node/syscalls.ts';
import { GOLDEN_TREES, type GoldenCommit, goldenTree } from '../golden-repo.ts';
import { requires } from '../requires.ts';
import { sealtreeOk } from '../run.ts';
import { readTar } from '../tar.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const VECTORS = fileURLToPath(new URL('../vectors/ostree/', import.meta.url));

/** Modes that the vectors have a repository of, for each tree. */
const MODES = ['archive', 'bare-user', 'bare', 'bare-user-only'];

interface StoredObject {
  readonly name: string;
  readonly mode: string;
  readonly size?: number;
  readonly sha256?: string;
  readonly 'user.ostreemeta'?: string;
}

requires({ root: true }).describe('a golden tree committed again', () => {
  let scratch = '';
  beforeAll(() => {
    scratch = scratchDirectory('golden');
    for (const name of ['a', 'b']) {
      const { secret_hex: secret } = JSON.parse(readFileSync(`${VECTORS}keys/${name}.json`, 'utf8'));
      writeFileSync(join(scratch, name), Buffer.from(secret, 'hex').toString('base64'), { mode: 0o600 });
    }
  });
  afterAll(() => removeDirectory(scratch));

  const needs = requires({ root: true });
  for (const tree of GOLDEN_TREES) {
    const { variants, repos } = goldenTree(tree);
    for (const mode of MODES.filter((name) => repos[name] !== undefined)) {
      needs.it(`${tree} in ${mode}`, () => {
        const [source, repo] = [join(scratch, `${tree}-${mode}`), join(scratch, `${tree}-${mode}-repo`)];
        unpackTree(tree, source);
        sealtreeOk(['init', `--repo=${repo}`, `--mode=${mode}`], { program: 'ostree' });
        for (const [name, { args, by_mode: byMode, commits }] of Object.entries(variants)) {
          const checksum = byMode[mode];
          if (checksum === undefined) continue;
          const golden = commits[checksum] as GoldenCommit;
          const keys = name === 'child' ? ['a', 'b'] : ['a'];
          const words = [
            ...branchAndParent(golden),
            '--timestamp=@1700000000',
            ...args,
            ...keys.map((key) => `--sign-from-file=${join(scratch, key)}`),
          ];
          const printed = sealtreeOk(['commit', `--repo=${repo}`, ...words, source], { program: 'ostree' });
          expect(printed, `${name}: ${words.join(' ')}`).toBe(`${checksum}\n`);
        }
        const stored = (repos[mode] as { objects: StoredObject[] }).objects;
        expect(objectsOf(repo)).toEqual(stored.map(comparable).sort(byName));
        expect(readdirSync(join(repo, 'tmp'))).toEqual(['cache']);
      });
    }
  }
});

/** The branch is what the commit itself says; `other/ref` came by `--bind-ref`, which is among the arguments. */
function branchAndParent({ commit_hex: hex }: GoldenCommit): string[] {
  const commit = decodeCommit(bytesFromHex(hex), 'golden commit');
  const bound = lookup(commit.metadata, REF_BINDING_KEY)?.value as string[] | undefined;
  const branch = bound?.find((ref) => ref !== 'other/ref') ?? 'unbound';
  return [`--branch=${branch}`, `--parent=${commit.parent ?? 'none'}`];
}

/** What the vectors say of an object and any tool must leave so: not the bytes of compressed files, nor their number. */
function comparable({ name, mode, size, sha256, 'user.ostreemeta': meta }: StoredObject) {
  const compressed = name.endsWith('.filez');
  return { name, mode, ...(compressed ? {} : { size, sha256 }), ...(meta === undefined ? {} : { meta }) };
}

function objectsOf(repo: string) {
  const root = join(repo, 'objects');
  const found = readdirSync(root).flatMap((folder) =>
    readdirSync(join(root, folder)).map((file) => {
      const path = join(root, folder, file);
      const stat = lstatSync(path);
      const data = stat.isSymbolicLink() ? undefined : readFileSync(path);
      const meta = stat.isFile() ? getXattr(byteString(path), byteString('user.ostreemeta')) : undefined;
      return comparable({
        name: `${folder}/${file}`,
        mode: stat.mode.toString(8),
        size: data?.length ?? readlinkSync(path, 'buffer').length,
        ...(data === undefined ? {} : { sha256: createHash('sha256').update(data).digest('hex') }),
        ...(meta === undefined ? {} : { 'user.ostreemeta': Buffer.from(meta, 'latin1').toString('hex') }),
      });
    }),
  );
  return found.sort(byName);
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1;
}

function unpackTree(tree: string, target: string): void {
  const entries = readTar(`${VECTORS}${tree}/tree.tar.gz`);
  const directories: [path: Buffer, mode: number][] = [];
  mkdirSync(target, { recursive: true });
  const pathOf = (name: string) =>
    Buffer.concat([Buffer.from(`${target}/`), Buffer.from(name.replace(/^tree\/?/, ''), 'latin1')]);
  for (const { name, type, mode, uid, gid, target: link, xattrs, data } of entries) {
    const path = pathOf(name);
    if (type === 'hardlink') {
      linkSync(pathOf(link), path);
      continue;
    }
    if (type === 'directory') {
      mkdirSync(path, { recursive: true });
      directories.push([path, mode]);
    } else if (type === 'symlink') symlinkSync(Buffer.from(link, 'latin1'), path);
    else writeFileSync(path, data);
    lchownSync(path, uid, gid);
    if (type === 'file') chmodSync(path, mode);
    for (const [key, value] of xattrs) setXattr(byteStringFrom(path), byteString(key), byteStringFrom(value));
  }
  for (const [path, mode] of directories.reverse()) chmodSync(path, mode);
}
