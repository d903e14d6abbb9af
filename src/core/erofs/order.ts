/**
 * The inodes of an image in the order in which they are written: breadth first, names of a directory in byte
 * order. libcomposefs adds 256 whiteouts to the root (they hide the object directory of the data layer), turns
 * the tree's own whiteouts into marked regular files, and picks the format version by them.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { SealtreeError } from '../errors.ts';
import { type DirectoryEntry, type HardLink, type Inode, isHardLink, makeInode } from '../fs/file-tree.ts';
import { S_IFCHR, S_IFMT } from '../fs/mode.ts';
import { BLOCK_SIZE, DIRENT_SIZE, direntType, MAX_FORMAT_VERSION, MAX_TAIL } from './format.ts';

export interface FormatVersions {
  /** The version to write unless the tree asks for a newer one. */
  readonly minVersion: number;
  /** The newest version that may be chosen; below `minVersion` it counts as `minVersion`. */
  readonly maxVersion: number;
}

/** What a reader of libcomposefs gets by default: 0, or 1 if the tree holds a whiteout. */
export const DEFAULT_VERSIONS: FormatVersions = { minVersion: 0, maxVersion: 1 };

/** A reason not to write the tree, in the words of the error number that libcomposefs gives. */
export interface Fault {
  readonly ino: number;
  readonly message: 'File too large' | 'Numerical result out of range' | 'Invalid argument';
  readonly reason: string;
}

export interface InodeOrder {
  readonly version: 0 | 1;
  /** By inode number. */
  readonly inodes: readonly Inode[];
  /** Directory entry type as written, by inode number. */
  readonly types: readonly number[];
  /** Inode number of the directory that owns an inode. */
  readonly parents: readonly number[];
  /** Inode numbers of the directories, ascending; those that follow are parallel to it. */
  readonly directories: readonly number[];
  /** Index of a directory's first entry; one more than directories. */
  readonly firstEntries: readonly number[];
  /** Index of the first entry that stands in the tail of a directory, not in a block. */
  readonly tailEntries: readonly number[];
  readonly directoryBlocks: readonly number[];
  /** Bytes of the tail. */
  readonly directoryTails: readonly number[];
  readonly directoryLinks: readonly number[];
  /** Names of all directories one after the other, `.` and `..` among them. */
  readonly entryNames: readonly ByteString[];
  /** Inode number that an entry names. */
  readonly entryInos: readonly number[];
  /** First whiteout in each directory that has one: inode number of the directory to that of the whiteout. */
  readonly firstWhiteouts: ReadonlyMap<number, number>;
  /** The inode that stands for the 256 added whiteouts. */
  readonly stub: Inode;
  readonly minMtimeSec: number | bigint;
  readonly minMtimeNsec: number;
  readonly faults: Fault[];
}

const DOT = byteString('.');
const DOT_DOT = byteString('..');
const DOT_CODE = 0x2e;
const STUB_COUNT = 256;
const PENDING = -1;

/**
 * @throws SealtreeError `unsupported` for a version that does not exist
 */
export function orderInodes(root: Inode, versions: FormatVersions): InodeOrder {
  checkVersions(versions);
  if (direntType(root.mode) !== 2) throw refusal('Not a directory', '/', 'the root is not a directory');
  const stub = makeStub(root);
  const inodes: Inode[] = [root];
  const types: number[] = [2];
  const parents: number[] = [0];
  const directories: number[] = [];
  const firstEntries: number[] = [];
  const tailEntries: number[] = [];
  const directoryBlocks: number[] = [];
  const directoryTails: number[] = [];
  const directoryLinks: number[] = [];
  const entryNames: ByteString[] = [];
  const entryInos: number[] = [];
  const pendingLinks: { index: number; link: HardLink }[] = [];
  const firstWhiteouts = new Map<number, number>();
  const faults: Fault[] = [];
  let minMtimeSec = root.mtimeSec;
  let minMtimeNsec = root.mtimeNsec;

  for (let ino = 0; ino < inodes.length; ino++) {
    const inode = inodes[ino] as Inode;
    if (inode.mtimeSec < minMtimeSec || (inode.mtimeSec === minMtimeSec && inode.mtimeNsec < minMtimeNsec)) {
      minMtimeSec = inode.mtimeSec;
      minMtimeNsec = inode.mtimeNsec;
    }
    if (types[ino] !== 2) continue;
    const firstEntry = entryNames.length;
    directories.push(ino);
    firstEntries.push(firstEntry);
    const { names, entries } = sortedEntries(inode, ino === 0 ? stub : undefined);
    const { dotAt, dotDotAt } = dotPlaces(names);
    let links = 2;
    for (let i = 0; i <= names.length; i++) {
      if (i === dotAt) {
        entryNames.push(DOT);
        entryInos.push(ino);
      }
      if (i === dotDotAt) {
        entryNames.push(DOT_DOT);
        entryInos.push(parents[ino] as number);
      }
      if (i === names.length) break;
      const child = entries[i] as DirectoryEntry;
      entryNames.push(names[i] as ByteString);
      if (isHardLink(child)) {
        pendingLinks.push({ index: entryInos.length, link: child });
        entryInos.push(PENDING);
        continue;
      }
      const childIno = inodes.length;
      entryInos.push(childIno);
      inodes.push(child);
      parents.push(ino);
      let type = direntType(child.mode);
      if (type === 2) links++;
      else if (type === 0) {
        faults.push({ ino: childIno, message: 'Invalid argument', reason: 'unknown file type' });
      } else if (type === 3 && child.rdev === 0 && child !== stub) {
        type = 1;
        if (!firstWhiteouts.has(ino)) firstWhiteouts.set(ino, childIno);
      }
      types.push(type);
    }
    directoryLinks.push(links);
    const { tailEntry, blocks, tail } = layOut(entryNames, firstEntry);
    tailEntries.push(tailEntry);
    directoryBlocks.push(blocks);
    directoryTails.push(tail);
  }
  firstEntries.push(entryNames.length);

  return {
    version: chooseVersion(versions, firstWhiteouts.size > 0),
    inodes,
    types,
    parents,
    directories,
    firstEntries,
    tailEntries,
    directoryBlocks,
    directoryTails,
    directoryLinks,
    entryNames,
    entryInos: resolveLinks(inodes, entryInos, pendingLinks),
    firstWhiteouts,
    stub,
    minMtimeSec,
    minMtimeNsec,
    faults,
  };
}

/** Whether an inode of the tree is an overlayfs whiteout: a character device 0:0. */
export function isWhiteout(inode: Inode): boolean {
  return (inode.mode & S_IFMT) === S_IFCHR && inode.rdev === 0;
}

/** The error for a tree that cannot be written: the message that mkcomposefs prints, the place in the detail. */
export function refusal(message: string, path: string, reason: string): SealtreeError {
  return new SealtreeError('malformed', message, { path, reason });
}

/** Throws the fault that libcomposefs would have met first: it walks depth first, names in order. */
export function throwFirstFault(order: InodeOrder): void {
  const first = order.faults.reduce<Fault | undefined>(
    (best, fault) => (best === undefined || comesBefore(order, fault.ino, best.ino) ? fault : best),
    undefined,
  );
  if (first !== undefined) throw refusal(first.message, pathOf(order, first.ino), first.reason);
}

/** A name of an inode, for messages. */
export function pathOf(order: InodeOrder, ino: number): string {
  let path = '';
  for (let at = ino; at !== 0; at = order.parents[at] as number) {
    const directory = order.directories.indexOf(order.parents[at] as number);
    const index = order.entryInos.indexOf(at, order.firstEntries[directory]);
    path = `/${displayByteString(order.entryNames[index] as ByteString)}${path}`;
  }
  return path === '' ? '/' : path;
}

function checkVersions({ minVersion, maxVersion }: FormatVersions): void {
  for (const version of [minVersion, maxVersion]) {
    if (version !== 0 && version !== MAX_FORMAT_VERSION) {
      throw new SealtreeError('unsupported', 'Invalid argument', {
        expected: 'version 0 or 1',
        found: version,
      });
    }
  }
}

function chooseVersion({ minVersion, maxVersion }: FormatVersions, hasWhiteout: boolean): 0 | 1 {
  return minVersion === 1 || (maxVersion === 1 && hasWhiteout) ? 1 : 0;
}

function makeStub(root: Inode): Inode {
  const stub = makeInode(S_IFCHR | 0o644, root.uid, root.gid);
  stub.mtimeSec = root.mtimeSec;
  stub.mtimeNsec = root.mtimeNsec;
  return stub;
}

/** The names of a directory in byte order with what they stand for; with `stub`, also the names 00 to ff. */
function sortedEntries(
  directory: Inode,
  stub: Inode | undefined,
): { names: ByteString[]; entries: DirectoryEntry[] } {
  const names: ByteString[] = [];
  const entries: DirectoryEntry[] = [];
  let sorted = true;
  let previous = byteString('');
  const children = directory.children;
  if (children !== undefined) {
    for (const [name, child] of children) {
      // Sources mostly list names in order: then nothing needs to be sorted or looked up again.
      if (name < previous) sorted = false;
      previous = name;
      names.push(name);
      entries.push(child);
    }
  }
  if (stub !== undefined) {
    for (let i = 0; i < STUB_COUNT; i++) {
      const name = byteString(i.toString(16).padStart(2, '0'));
      if (!children?.has(name)) {
        names.push(name);
        sorted = false;
      }
    }
  }
  if (!sorted) {
    names.sort();
    for (let i = 0; i < names.length; i++) {
      entries[i] = children?.get(names[i] as ByteString) ?? (stub as Inode);
    }
  }
  return { names, entries };
}

/** Where `.` and `..` belong among sorted names: few, if any, begin with a byte that comes before the dot. */
function dotPlaces(names: readonly ByteString[]): { dotAt: number; dotDotAt: number } {
  let dotAt = 0;
  while (dotAt < names.length && (names[dotAt] as ByteString).charCodeAt(0) < DOT_CODE) dotAt++;
  let dotDotAt = dotAt;
  while (dotDotAt < names.length && (names[dotDotAt] as ByteString) < DOT_DOT) dotDotAt++;
  return { dotAt, dotDotAt };
}

/** How the entries from `first` on are cut into blocks, and what of them is a tail behind the inode. */
function layOut(
  names: readonly ByteString[],
  first: number,
): { tailEntry: number; blocks: number; tail: number } {
  let tailEntry = first;
  let blocks = 0;
  let used = 0;
  for (let entry = first; entry < names.length; entry++) {
    const cost = DIRENT_SIZE + (names[entry] as ByteString).length;
    if (used + cost > BLOCK_SIZE) {
      blocks++;
      used = 0;
      tailEntry = entry;
    }
    used += cost;
  }
  return used > MAX_TAIL
    ? { tailEntry: names.length, blocks: blocks + 1, tail: 0 }
    : { tailEntry, blocks, tail: used };
}

/** Fills in the inode numbers of hard links, through chains of links. */
function resolveLinks(
  inodes: readonly Inode[],
  entryInos: number[],
  pending: readonly { index: number; link: HardLink }[],
): number[] {
  if (pending.length === 0) return entryInos;
  const targets = new Map<Inode, number>();
  const targetOf = new Map<HardLink, Inode>();
  for (const { link } of pending) targets.set(followLinks(link, targetOf), PENDING);
  for (let ino = 0; ino < inodes.length; ino++) {
    const inode = inodes[ino] as Inode;
    if (targets.has(inode)) targets.set(inode, ino);
  }
  for (const { index, link } of pending) {
    const ino = targets.get(targetOf.get(link) as Inode) as number;
    if (ino === PENDING) throw refusal('Invalid argument', '', 'hard link to an inode outside the tree');
    entryInos[index] = ino;
  }
  return entryInos;
}

/** The inode that a link stands for; remembers it for every link on the way, so that chains stay linear. */
function followLinks(link: HardLink, known: Map<HardLink, Inode>): Inode {
  const chain: HardLink[] = [];
  const onChain = new Set<HardLink>();
  let at: DirectoryEntry = link;
  while (isHardLink(at)) {
    const found = known.get(at);
    if (found !== undefined) {
      at = found;
      break;
    }
    if (onChain.has(at)) throw refusal('Too many levels of symbolic links', '', 'cycle of hard links');
    onChain.add(at);
    chain.push(at);
    at = at.linkTo;
  }
  for (const passed of chain) known.set(passed, at);
  return at;
}

/** Whether `a` is met before `b` in a walk that goes depth first and through names in order. */
function comesBefore(order: InodeOrder, a: number, b: number): boolean {
  const pathA = ancestry(order, a);
  const pathB = ancestry(order, b);
  const shared = Math.min(pathA.length, pathB.length);
  for (let i = 0; i < shared; i++) {
    if (pathA[i] !== pathB[i]) return (pathA[i] as number) < (pathB[i] as number);
  }
  return pathA.length < pathB.length;
}

/** Inode numbers from the root down; siblings are numbered in the order of their names. */
function ancestry(order: InodeOrder, ino: number): number[] {
  const path = [ino];
  for (let at = ino; at !== 0; at = order.parents[at] as number) path.push(order.parents[at] as number);
  return path.reverse();
}
