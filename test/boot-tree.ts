/** An initramfs and a disk with signed deployments, as a tree in memory: what a boot decision reads. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { type ByteString, byteString } from '../src/core/bytes/byte-string.ts';
import { hexOf } from '../src/core/bytes/hex.ts';
import { portableHash } from '../src/core/hash.ts';
import { encodeCommit, type MetadataEntry } from '../src/core/ostree/commit.ts';
import { encodeCommitmeta, withSignature } from '../src/core/ostree/commitmeta.ts';
import { COMPOSEFS_DIGEST_KEY, composefsValue } from '../src/core/ostree/metadata.ts';
import { type BootFacts, decideBoot } from '../src/core/verify/boot.ts';
import type { BootDecision } from '../src/core/verify/boot-decision.ts';
import { secretFromBase64 } from '../src/node/secret.ts';
import { goldenKey } from './deployed-disk.ts';
import { DIRECTORY, file, link, type MemoryFile, type MemoryTree, memorySystem } from './memory-system.ts';

export const SIGNED_CONF = '[composefs]\nenabled=signed\n[etc]\ntransient=true\n';
export const KEY_FILE = '/etc/ostree/initramfs-root-binding.key';
export const DIGEST = 'd'.repeat(64);

export type KeyName = 'a' | 'b' | 'wrong';

export interface TestCommit {
  readonly checksum: string;
  readonly data: Uint8Array;
  readonly detached: Uint8Array | undefined;
  /** Of the image. */
  readonly digest: string;
}

export interface CommitOptions {
  readonly digest?: string;
  readonly timestamp?: number;
  readonly metadata?: readonly MetadataEntry[];
  readonly parent?: string;
  readonly keys?: readonly KeyName[];
}

export function makeCommit(options: CommitOptions = {}): TestCommit {
  const { digest = DIGEST, timestamp = 1_700_000_000, metadata = [], parent, keys = ['a'] } = options;
  const data = encodeCommit({
    metadata: [...metadata, [COMPOSEFS_DIGEST_KEY, composefsValue(digest)]],
    parent,
    subject: byteString('test'),
    body: byteString(''),
    timestamp: BigInt(timestamp),
    rootDirtree: '1'.repeat(64),
    rootDirmeta: '2'.repeat(64),
  });
  const checksum = hexOf(portableHash.digest('sha256', data));
  return { checksum, data, detached: keys.length === 0 ? undefined : signatures(data, keys), digest };
}

export function signatures(data: Uint8Array, keys: readonly KeyName[]): Uint8Array {
  const key = byteString('ostree.sign.ed25519');
  return encodeCommitmeta(
    keys.reduce<MetadataEntry[]>((entries, name) => withSignature(entries, key, sign(name, data)), []),
  );
}

export function text(key: string, value: string): MetadataEntry {
  return [byteString(key), { type: 's', value: byteString(value) }];
}

export function objectAt(checksum: string, type: 'commit' | 'commitmeta'): string {
  return `/sysroot/ostree/repo/objects/${checksum.slice(0, 2)}/${checksum.slice(2)}.${type}`;
}

export function deploymentAt(checksum: string, stateroot = 'os', serial = 0): string {
  return `/sysroot/ostree/deploy/${stateroot}/deploy/${checksum}.${serial}`;
}

/** Puts a commit into the repository, and deploys it with an image that has its digest. */
export function addDeployment(
  tree: MemoryTree,
  commit: TestCommit,
  { serial = 0, image = {} }: { serial?: number; image?: Partial<MemoryFile> } = {},
): void {
  addCommit(tree, commit);
  const deployment = deploymentAt(commit.checksum, 'os', serial);
  tree.set(deployment, DIRECTORY);
  tree.set(`${deployment}/.ostree.cfs`, file('image', { verity: commit.digest, ...image }));
}

export function addCommit(tree: MemoryTree, { checksum, data, detached }: TestCommit): void {
  tree.set(objectAt(checksum, 'commit'), file(data));
  if (detached !== undefined) tree.set(objectAt(checksum, 'commitmeta'), file(detached));
}

export const COMMIT = makeCommit({ metadata: [text('version', '7'), text('product', 'one')] });
export const DEPLOYMENT = deploymentAt(COMMIT.checksum);

/** An initramfs with a signed configuration and key a, and a disk with {@link COMMIT} deployed. */
export function bootTree(): MemoryTree {
  const tree: MemoryTree = new Map([
    ['/usr/lib/ostree/prepare-root.conf', file(SIGNED_CONF)],
    [KEY_FILE, file(`${goldenKey('a')}\n`)],
    ['/sysroot/ostree/boot.1', link('boot.1.1')],
    ['/sysroot/ostree/boot.1.1/os/sum/0', link(`../../../deploy/os/deploy/${COMMIT.checksum}.0`)],
  ]);
  addDeployment(tree, COMMIT);
  return tree;
}

export const SEALED_FILE = '/usr/lib/sealtree/sealed.conf';

/** The same, sealed. */
export function sealedTree(more = '', trusted: readonly KeyName[] = ['a']): MemoryTree {
  const tree = bootTree();
  const keys = `[keys]\ntrusted=${trusted.map(goldenKey).join(';')}\n`;
  tree.set(SEALED_FILE, file(more.includes('[keys]') ? more : `${keys}${more}`));
  return tree;
}

export const OSTREE = 'ostree=/ostree/boot.1/os/sum/0';

export const CONF = '/usr/lib/ostree/prepare-root.conf';
export const YES_CONF = '[composefs]\nenabled=yes\n';
export const VERITY_CONF = '[composefs]\nenabled=verity\n[etc]\ntransient=true\n';

export function decide(
  tree: MemoryTree,
  cmdline: string = OSTREE,
  facts: Partial<BootFacts> = {},
): BootDecision {
  return decideBoot(memorySystem(tree), portableHash, {
    cmdline: byteString(cmdline),
    sysroot: byteString('/sysroot'),
    root: byteString(''),
    initramfs: true,
    sysrootWritable: true,
    kernel: { release: byteString('6.12.0') as ByteString, features: {} },
    ...facts,
  });
}

function sign(name: KeyName, data: Uint8Array): Uint8Array {
  const path = new URL(`./vectors/ostree/keys/${name}.json`, import.meta.url);
  const { secret_hex } = JSON.parse(readFileSync(path, 'utf8')) as { secret_hex: string };
  const secret = secretFromBase64(byteString(Buffer.from(secret_hex, 'hex').toString('base64')));
  try {
    return secret.sign(data);
  } finally {
    secret.destroy();
  }
}

export function changed(change: (tree: MemoryTree) => void, make = bootTree): MemoryTree {
  const tree = make();
  change(tree);
  return tree;
}

export const put = (path: string, entry: Parameters<MemoryTree['set']>[1]) =>
  changed((tree) => void tree.set(path, entry));

/** An unsealed initramfs with this configuration. */
export const configured = (conf: string) => put(CONF, file(conf));

export function expectBoot(decision: BootDecision, warning?: string | RegExp): void {
  expect(decision.refusal).toBeUndefined();
  expect(decision.plan).toBeDefined();
  if (warning === undefined) expect(decision.warnings).toEqual([]);
  else expect(decision.warnings.join('\n')).toMatch(warning);
}

export function expectRefusal(
  decision: BootDecision,
  check: string,
  message: string | RegExp,
  more: { expected?: string; found?: string } = {},
): void {
  expect(decision.plan).toBeUndefined();
  expect(decision.refusal).toMatchObject({ check, ...more });
  expect(decision.refusal?.message).toMatch(message);
  expect(decision.refusal?.advice).toBeTruthy();
  expect(decision.checks.filter(({ status }) => status === 'failed').length).toBeGreaterThan(0);
}
