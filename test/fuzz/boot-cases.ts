/**
 * Boots to be decided about: a disk as `ostree admin deploy` leaves it with an initramfs before it, all in memory, and
 * changes to every part of it that whoever has the disk or the kernel command line can make.
 * @module
 */
import { createHash, type KeyObject, sign } from 'node:crypto';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../src/core/bytes/hex.ts';
import { SealtreeError } from '../../src/core/errors.ts';
import { COMMIT_TYPE, decodeCommit, encodeCommit, type MetadataEntry } from '../../src/core/ostree/commit.ts';
import { encodeCommitmeta, METADATA_TYPE, withSignature } from '../../src/core/ostree/commitmeta.ts';
import { COMPOSEFS_DIGEST_KEY, composefsDigest, composefsValue } from '../../src/core/ostree/metadata.ts';
import type { BootFacts } from '../../src/core/verify/boot.ts';
import { DIRECTORY, file, link, type MemoryFile, type MemoryTree } from '../memory-system.ts';
import { mutateLines, mutateObject, mutateText } from './mutate.ts';
import type { Random } from './random.ts';

/** What a case is made of. */
export interface BootSeeds {
  /** Disks below /sysroot, with one deployment each. */
  readonly disks: readonly (readonly (readonly [path: string, node: MemoryFile])[])[];
  readonly commits: readonly Uint8Array[];
  /** Seed and public key, 64 bytes: two that may be trusted, and one that never is. */
  readonly keyPairs: readonly Uint8Array[];
}

export interface BootCase {
  readonly tree: MemoryTree;
  readonly cmdline: string;
  readonly facts: Omit<BootFacts, 'cmdline'>;
  /** Changes that were made to something that would boot. */
  readonly changes: readonly string[];
}

interface Draft {
  readonly tree: MemoryTree;
  cmdline: string;
  facts: Omit<BootFacts, 'cmdline'>;
}

interface Tools {
  readonly random: Random;
  readonly seeds: BootSeeds;
  readonly secrets: readonly KeyObject[];
  readonly publicKeys: readonly string[];
}

const CONFIG = '/etc/ostree/prepare-root.conf';
const VENDOR_CONFIG = '/usr/lib/ostree/prepare-root.conf';
const SEALED = '/usr/lib/sealtree/sealed.conf';
const KEY_FILE = '/etc/ostree/initramfs-root-binding.key';
const OBJECTS = '/sysroot/ostree/repo/objects';

/** Makes a case of up to three changes. @param secrets the secret keys of the seeds' pairs */
export function makeBootCase(random: Random, seeds: BootSeeds, secrets: readonly KeyObject[]): BootCase {
  const publicKeys = seeds.keyPairs.map((pair) => Buffer.from(pair.subarray(32)).toString('base64'));
  const tools = { random, seeds, secrets, publicKeys };
  const draft = makeDraft(tools);
  const changes: string[] = [];
  for (let count = random.once(10) ? 0 : 1 + random.below(3); count > 0; count--) {
    const [name, change] = random.pick(CHANGES);
    try {
      change(tools, draft);
      changes.push(name);
    } catch (error) {
      // What was changed before is no commit any more, or no list of signatures.
      if (!(error instanceof SealtreeError)) throw error;
    }
  }
  const { tree, cmdline, facts } = draft;
  return { changes, cmdline, facts, tree };
}

const CONFIGS: readonly string[] = [
  '[composefs]\nenabled=signed\n',
  '# signed\n[composefs]\nenabled = signed\nkeypath=/etc/ostree/initramfs-root-binding.key\n[etc]\ntransient=true\n',
  '[composefs]\nenabled=signed\nkeyfile=/usr/share/keys/other.key\n[root]\ntransient=true\n[etc]\ntransient=1\n',
  '[composefs]\nenabled=signed\nminimum-timestamp=1600000000\nrequire-metadata=version=1.0 basic;\n[etc]\ntransient=true\n',
  '[composefs]\nenabled=verity\n[sysroot]\nreadonly=true\n',
  '[composefs]\nenabled=yes\n[root]\ntransient-ro=true\n',
  '[composefs]\nenabled=maybe\n[sysroot]\nreadonly=false\n[etc]\ntransient=true\n',
  '[composefs]\nenabled=no\n',
  '[sysroot]\nreadonly=true\n',
];

const ARGUMENTS = ['root=LABEL=root', 'rw', 'quiet', 'console=ttyS0', 'ro'];

function makeDraft(tools: Tools): Draft {
  const { random, seeds, publicKeys } = tools;
  const tree: MemoryTree = new Map(random.pick(seeds.disks));
  const [a, b] = publicKeys as [string, string];
  tree.set('/sysroot.tmp', DIRECTORY);
  const config = random.once(2) ? random.pick(CONFIGS.slice(0, 4)) : random.pick(CONFIGS);
  tree.set(random.once(2) ? CONFIG : VENDOR_CONFIG, file(config));
  tree.set(KEY_FILE, file(random.pick([`${a}\n`, `# key of the build\n\n${b}\n${a}\n`, `${a}\n${b}`])));
  tree.set('/usr/share/keys/other.key', file(`${b}\n${a}\n`));
  if (random.once(3)) tree.set(SEALED, file(makeSealedFile(tools)));
  const links = [...tree.keys()].filter((path) => /^\/sysroot\/ostree\/boot\.1\.1\/.*\/0$/.test(path));
  for (let count = random.below(3); count > 0; count--) links.push(addDeployment(tools, tree, count));
  const target = random.pick(links).replace('/sysroot', '').replace('boot.1.1', 'boot.1');
  const words = ARGUMENTS.filter(() => random.once(2));
  if (!random.once(6)) words.splice(random.below(words.length + 1), 0, `ostree=${target}`);
  const facts: Draft['facts'] = {
    sysroot: byteString('/sysroot'),
    root: byteString(''),
    initramfs: true,
    sysrootWritable: random.once(2),
    kernel: { release: byteString('6.12.107-amd64'), features: { loop: true } },
  };
  return { tree, cmdline: words.join(' '), facts };
}

/** The commits are of 2023-11-14. */
const TIMES = ['2023-01-01T00:00:00Z', '1600000000', '@1700000000', '1700000001', '2024-06-01'];

function makeSealedFile({ random, publicKeys }: Tools): string {
  const [a, b, other] = publicKeys as [string, string, string];
  const lines = [
    '[sealed]',
    random.pick(['mode=signed', 'mode=signed', 'mode=verity', 'mode=yes', '# mode']),
    ...(random.once(2) ? [`arguments=root=*;rw;ro;quiet;console=ttyS0;`] : []),
    random.pick(['refusal=poweroff', 'refusal=shell', '']),
    '[keys]',
    random.pick([`trusted=${a};${b}`, `trusted=${a};`, `trusted=${a};${b};\nrevoked=${other}`]),
    random.once(4) ? `revoked=${b}` : '',
    random.once(4) ? `[composefs]\nminimum-timestamp=${random.pick(TIMES)}` : '',
    random.once(2) ? '[etc]\nunsigned=allow' : '',
  ];
  return `${lines.filter((line) => line !== '').join('\n')}\n`;
}

/** A further deployment of a commit that names an image, signed; returns the link that boots it. */
function addDeployment(tools: Tools, tree: MemoryTree, index: number): string {
  const { random, seeds } = tools;
  let commit = decodeCommit(random.pick(seeds.commits), 'seed');
  const digest = composefsDigest(commit) ?? createHash('sha256').update(String(index)).digest('hex');
  if (composefsDigest(commit) === undefined)
    commit = { ...commit, metadata: [...commit.metadata, [COMPOSEFS_DIGEST_KEY, composefsValue(digest)]] };
  const data = encodeCommit(commit);
  const stateroot = random.pick(['golden', 'os']);
  const checksum = checksumOf(data);
  const name = `ostree/deploy/${stateroot}/deploy/${checksum}.${index}`;
  setObject(tree, checksum, 'commit', data);
  setObject(tree, checksum, 'commitmeta', signatureOf(data, tools.secrets.slice(0, 1 + random.below(2))));
  tree.set(`/sysroot/${name}/.ostree.cfs`, file('image', { verity: digest }));
  tree.set(`/sysroot/${name}/usr`, DIRECTORY);
  const path = `/sysroot/ostree/boot.1.1/${stateroot}/${checksumOf(new Uint8Array(index))}/${index}`;
  tree.set(path, link(`../../../${name.slice('ostree/'.length)}`));
  return path;
}

type Change = (tools: Tools, draft: Draft) => void;

const CONFIG_WORDS = [
  'signed',
  'verity',
  'yes',
  'no',
  'maybe',
  'true',
  '1',
  '0',
  'false',
  'enabled',
  'transient',
  'keypath',
  KEY_FILE,
  '/usr/share/keys/other.key',
  '/',
  '[composefs]',
  '[etc]',
  '[sealed]',
  '[root]',
  '#',
  ';',
  '*',
  '99999999999',
  '2030-01-01',
  'version=9',
  ' ',
  '\\s',
  '',
];

const WORDS: readonly string[] = [
  'ostree.prepare-root.composefs=0',
  'ostree.prepare-root.composefs=no',
  'ostree.prepare-root.composefs=maybe',
  'ostree.prepare-root.composefs=yes',
  'ostree.prepare-root.composefs=verity',
  'ostree.prepare-root.composefs=signed',
  'ostree.prepare-root.composefs=',
  'androidboot.slot_suffix=_a',
  'androidboot.slot_suffix=_b',
  'androidboot.slot_suffix=_c',
  'androidboot.x',
  'ostree=/ostree/root.a',
  'ostree=/ostree/../../etc',
  'ostree=/',
  'ostree=',
  'ostree=ostree/boot.1',
  'init=/bin/sh',
  'rd.break',
  'systemd.mask=ostree-prepare-root.service',
  'systemd.unit=rescue.target',
  '"rd.systemd.mask=x"',
  'single',
  'enforcing=0',
  'quiet',
];

const TEXT_CHANGES: readonly (readonly [string, string, readonly string[]])[] = [
  ['configuration', CONFIG, CONFIG_WORDS],
  ['vendor configuration', VENDOR_CONFIG, CONFIG_WORDS],
  ['sealed file', SEALED, CONFIG_WORDS],
  ['key file', KEY_FILE, ['#', '\n', ' ', '=', `${'A'.repeat(43)}=`, '\r\n', '\0']],
];

const changeText =
  (path: string, words: readonly string[]): Change =>
  ({ random, publicKeys }, { tree }) => {
    const old = tree.get(path)?.data;
    const text = old === undefined ? random.pick(CONFIGS) : Buffer.from(old).toString('latin1');
    const all = [...words, ...publicKeys, `${publicKeys[2]};`, `trusted=${publicKeys[2]}`];
    const kind = random.below(6);
    let changed = text;
    if (kind === 0) changed = mutateText(random, text, all);
    else if (kind === 1) changed = random.pick([...CONFIGS, `${publicKeys[2]}\n`, '', '\0']);
    else if (kind === 2) changed = `${text}${random.pick(all)}${random.once(2) ? '\n' : ''}`;
    else changed = mutateLines(random, text, [...CONFIGS, text], '=', all);
    tree.set(path, file(changed));
  };

const changeArguments: Change = ({ random }, draft) => {
  const words = draft.cmdline.split(' ');
  const at = random.below(words.length + 1);
  const kind = random.below(6);
  if (kind < 3) words.splice(at, random.once(4) ? 1 : 0, random.pick(WORDS));
  else if (kind === 3) words.splice(at, 1);
  draft.cmdline = words.join(kind === 4 ? random.pick(['\t', '  ', '\n', '\u00a0', '"']) : ' ');
  if (kind === 5) draft.cmdline = mutateText(random, draft.cmdline, [...WORDS, ' ', '=', '/', '..', '"']);
};

/** Changes a commit; often it keeps its name, or the deployment has the new one, or it is signed again. */
const changeCommit: Change = (tools, { tree }) => {
  const { random, secrets } = tools;
  const found = commitsIn(tree);
  if (found.length === 0) return;
  const checksum = random.pick(found);
  const data = mutateObject(random, COMMIT_TYPE, objectOf(tree, checksum, 'commit'), tools.seeds.commits);
  // Under 2 it keeps its name; from 3 on it is signed again, as is every other one that keeps its name.
  const kind = random.below(6);
  const changed = kind < 2 ? checksum : checksumOf(data);
  setObject(tree, changed, 'commit', data);
  if (kind >= 2) renameDeployments(tree, checksum, changed);
  const old = tree.get(objectPath(checksum, 'commitmeta'))?.data;
  if (kind === 2 && old !== undefined) setObject(tree, changed, 'commitmeta', old);
  if (kind >= 3 || kind === 1)
    setObject(
      tree,
      changed,
      'commitmeta',
      signatureOf(data, [random.pick(random.once(3) ? secrets : secrets.slice(0, 2))]),
    );
};

const changeCommitmeta: Change = ({ random, secrets }, { tree }) => {
  const found = commitsIn(tree);
  if (found.length === 0) return;
  const checksum = random.pick(found);
  const old = tree.get(objectPath(checksum, 'commitmeta'))?.data;
  const kind = random.below(8);
  if (kind === 0) tree.delete(objectPath(checksum, 'commitmeta'));
  else if (kind === 1)
    setObject(
      tree,
      checksum,
      'commitmeta',
      signatureOf(objectOf(tree, checksum, 'commit'), [secrets[2] as KeyObject]),
    );
  else if (kind === 2) {
    const others = [0, 1, 2, 3, 63, 64, 65, 70].map((size) => new Uint8Array(size));
    const lists = others.slice(0, 1 + random.below(others.length)).map((other) => [other]);
    let entries: MetadataEntry[] = [];
    for (const [signature] of lists)
      entries = withSignature(entries, byteString('ostree.sign.ed25519'), signature as Uint8Array);
    setObject(tree, checksum, 'commitmeta', encodeCommitmeta(entries));
  } else if (old !== undefined)
    setObject(tree, checksum, 'commitmeta', mutateObject(random, METADATA_TYPE, old, []));
};

/** What bootc makes of a signed commit: a child of its own without signatures, which is what is deployed. */
const makeChild: Change = ({ random, secrets }, { tree }) => {
  const found = commitsIn(tree);
  if (found.length === 0) return;
  const parent = random.pick(found);
  const commit = decodeCommit(objectOf(tree, parent, 'commit'), parent);
  const config: MetadataEntry = [
    byteString('ostree.container.image-config'),
    { type: 's', value: byteString('{}') },
  ];
  const data = encodeCommit({
    ...commit,
    metadata: random.once(3) ? [config, ...commit.metadata] : [config],
    parent: random.once(6) ? random.pick(found) : parent,
  });
  const checksum = checksumOf(data);
  setObject(tree, checksum, 'commit', data);
  if (random.once(6)) setObject(tree, checksum, 'commitmeta', signatureOf(data, [random.pick(secrets)]));
  renameDeployments(tree, parent, checksum);
};

const SPECIAL: readonly MemoryFile[] = [
  DIRECTORY,
  { kind: 'other' },
  file(''),
  file(new Uint8Array(70_000).fill(10)),
  { kind: 'file', errno: 'EIO', data: new Uint8Array(1) },
  { kind: 'directory', errno: 'EACCES' },
];

/** Puts something else in the place of something: a link, a special file, nothing, what stands elsewhere. */
const changePath: Change = ({ random }, { tree }) => {
  const paths = [...tree.keys()].filter((one) => one !== '');
  let path = random.pick(paths);
  for (let up = random.below(3) * random.below(4); up > 0 && path.lastIndexOf('/') > 0; up--)
    path = path.slice(0, path.lastIndexOf('/'));
  const below = paths.filter((one) => one.startsWith(`${path}/`));
  const other = random.pick(paths);
  const kind = random.below(8);
  if (kind < 2) {
    // What was there moves, and a link leads to it or to another place.
    const moved = `${random.pick(['/run/elsewhere', '/sysroot/elsewhere', '/sysroot/ostree/deploy/elsewhere'])}${path}`;
    move(tree, path, moved);
    const targets = [moved, moved, `/proc/self/root${moved}`, '.', '..', '/', path];
    tree.set(path, link(random.pick(targets)));
  } else if (kind < 4) {
    for (const one of below) tree.delete(one);
    tree.set(
      path,
      link(random.pick([other, relativeTo(path, other), '/etc', '', '../../..', 'x'.repeat(300)])),
    );
  } else if (kind < 6) {
    for (const one of below) tree.delete(one);
    tree.set(path, random.pick(SPECIAL));
  } else if (kind === 6) {
    for (const one of [path, ...below]) tree.delete(one);
  } else tree.set(path, tree.get(other) ?? DIRECTORY);
};

const FILE_SYSTEMS = [0xef53, 0x9123683e, 0xf2f52010, 0x65735546, 0x01021994, 0x794c7630, 0, 0xffffef53];

/** Changes what the kernel says of an image, or of the file system of a directory. */
const changeVerity: Change = ({ random }, { tree }) => {
  const images = [...tree.keys()].filter((path) => path.endsWith('/.ostree.cfs'));
  const path = images.length > 0 && !random.once(4) ? random.pick(images) : random.pick([...tree.keys()]);
  const old = tree.get(path) ?? DIRECTORY;
  if (old.kind === 'symlink') return;
  const verities = images.flatMap((image) => tree.get(image)?.verity ?? []);
  const mutated = old.verity?.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
  const [verity = '0'.repeat(64)] = [random.pick([mutated, ...verities, undefined])].filter(Boolean);
  const kind = random.below(6);
  if (kind === 0) tree.set(path, { ...old, verity });
  else if (kind === 1) tree.set(path, { ...old, enforced: false });
  else if (kind === 2)
    tree.set(path, { ...old, verity: `${old.verity ?? verity}${'0'.repeat(64)}`, algorithm: 'sha512' });
  else if (kind === 3)
    tree.set(path, { kind: old.kind, data: old.data ?? new Uint8Array(0), enforced: random.once(2) });
  else if (kind === 4) tree.set(path, { ...old, fileSystem: random.pick(FILE_SYSTEMS) });
  else {
    const place = random.pick(['', '/sysroot', '/sysroot/ostree', OBJECTS, '/sysroot/ostree/deploy']);
    tree.set(place, { ...(tree.get(place) ?? DIRECTORY), fileSystem: random.pick(FILE_SYSTEMS) });
  }
};

const changeFacts: Change = ({ random }, draft) => {
  const releases = ['6.1.0', '6.5.0', '6.6.1', '5.3', '6.18.5-x', 'unknown', '7.0', '', '99999999.1'];
  const features = random.pick([
    {},
    { erofs: false },
    { overlay: false },
    { 'overlay verity': false },
    { 'fs-verity': false },
    { loop: false },
    { loop: false, 'file-backed erofs': true },
    { 'overlay verity': true, 'data-only layers': true },
  ]);
  draft.facts = {
    ...draft.facts,
    initramfs: !random.once(4),
    sysrootWritable: random.once(2),
    kernel: { release: byteString(random.pick(releases)), features },
  };
};

const unlock: Change = ({ random }, { tree }) => {
  const images = [...tree.keys()].filter((path) => path.endsWith('/.ostree.cfs'));
  if (images.length === 0) return;
  const deployment = random.pick(images).slice(0, -'/.ostree.cfs'.length);
  if (random.once(2)) tree.delete(`${deployment}/.ostree.cfs`);
  else tree.set(`${deployment}/.usr-ovl-work`, DIRECTORY);
};

const CHANGES: readonly (readonly [name: string, change: Change])[] = [
  ...TEXT_CHANGES.map(([name, path, words]) => [name, changeText(path, words)] as const),
  ['kernel arguments', changeArguments],
  ['kernel arguments', changeArguments],
  ['commit', changeCommit],
  ['commit', changeCommit],
  ['commitmeta', changeCommitmeta],
  ['child commit', makeChild],
  ['path', changePath],
  ['path', changePath],
  ['path', changePath],
  ['fs-verity', changeVerity],
  ['fs-verity', changeVerity],
  ['facts', changeFacts],
  ['deployment', unlock],
];

function commitsIn(tree: MemoryTree): string[] {
  return [...tree].flatMap(([path, node]) => {
    const match = /\/objects\/([0-9a-f]{2})\/([0-9a-f]{62})\.commit$/.exec(path);
    return match === null || node.data === undefined ? [] : [`${match[1]}${match[2]}`];
  });
}

function objectPath(checksum: string, type: 'commit' | 'commitmeta'): string {
  return `${OBJECTS}/${checksum.slice(0, 2)}/${checksum.slice(2)}.${type}`;
}

function objectOf(tree: MemoryTree, checksum: string, type: 'commit' | 'commitmeta'): Uint8Array {
  return tree.get(objectPath(checksum, type))?.data ?? new Uint8Array(0);
}

function setObject(
  tree: MemoryTree,
  checksum: string,
  type: 'commit' | 'commitmeta',
  data: Uint8Array,
): void {
  tree.set(objectPath(checksum, type), file(data));
}

/** Deployments of one commit become those of another, and links lead there. */
function renameDeployments(tree: MemoryTree, from: string, to: string): void {
  for (const [path, node] of [...tree]) {
    if (path.includes('/objects/')) continue;
    const target = node.target?.replaceAll(from, to);
    if (target === node.target && !path.includes(from)) continue;
    tree.delete(path);
    tree.set(path.replaceAll(from, to), target === undefined ? node : { ...node, target });
  }
}

function move(tree: MemoryTree, from: string, to: string): void {
  for (const [path, node] of [...tree]) {
    if (path !== from && !path.startsWith(`${from}/`)) continue;
    tree.delete(path);
    tree.set(to + path.slice(from.length), node);
  }
}

function relativeTo(path: string, other: string): string {
  return '../'.repeat(path.split('/').length - 2) + other.slice(1);
}

function signatureOf(data: Uint8Array, secrets: readonly KeyObject[]): Uint8Array {
  let entries: MetadataEntry[] = [];
  for (const secret of secrets)
    entries = withSignature(entries, byteString('ostree.sign.ed25519'), sign(null, data, secret));
  return encodeCommitmeta(entries);
}

function checksumOf(data: Uint8Array): string {
  return hexOf(createHash('sha256').update(data).digest());
}
