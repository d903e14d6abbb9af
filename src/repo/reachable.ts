/**
 * Which objects belong to commits, and which commits an object belongs to. In the order in which the real tool, whose
 * sets are hash tables, comes to them: what `fsck` finds first is then the same.
 * @module
 */
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { inDictOrder, inTableOrder, stringHash } from '../core/ostree/dict-order.ts';
import { type ObjectType, objectTypeNumber } from '../core/ostree/objects.ts';
import type { Repo } from './repo.ts';

export interface ObjectName {
  readonly type: ObjectType;
  readonly checksum: string;
}

/** What is followed of a dirtree: checksums alone. */
export interface TreeLinks {
  readonly files: readonly { readonly checksum: string }[];
  readonly dirs: readonly { readonly dirtree: string; readonly dirmeta: string }[];
}

/** Where the traversal gets what it follows. */
export interface LinkSource {
  /** Undefined if there is no such commit: it is left out. Without root if it cannot be followed. */
  commit(checksum: string): { readonly root: TreeLinks['dirs'][number] | undefined } | undefined;
  /** Undefined if it is to be passed over; throws if that may not be. */
  dirtree(checksum: string, commit: string): TreeLinks | undefined;
}

/** Reads through a repository; of partial commits whole directories may be missing. */
export function repositoryLinks(repo: Repo): LinkSource {
  return {
    commit(checksum) {
      if (!repo.hasObject('commit', checksum)) return undefined;
      const { rootDirtree, rootDirmeta } = repo.commit(checksum);
      return { root: { dirtree: rootDirtree, dirmeta: rootDirmeta } };
    },
    dirtree(checksum, commit) {
      const missing = !repo.hasObject('dirtree', checksum) && repo.commitState(commit) !== 'complete';
      return missing ? undefined : repo.dirtree(checksum);
    },
  };
}

/** All objects of the commits, the commits among them. */
export function reachableObjects(source: LinkSource, commits: Iterable<string>): ObjectName[] {
  const found: (readonly [key: ByteString, object: ObjectName])[] = [];
  const visit: Visit = (type, checksum) =>
    found.push([byteString(keyOf(type, checksum)), { type, checksum }]);
  traverse(source, commits, visit, undefined);
  return inTableOrder(found, hashOf).map(([, object]) => object);
}

/** Commit objects in the order of the real tool's tables. */
export function inObjectOrder(commits: readonly string[]): string[] {
  const found = commits.map((checksum) => [byteString(checksum), { type: 'commit', checksum }] as const);
  return inTableOrder(found, hashOf).map(([checksum]) => checksum);
}

function hashOf(_: ByteString, [, { type, checksum }]: readonly [ByteString, ObjectName]): number {
  return stringHash(byteString(checksum)) + objectTypeNumber(type);
}

/** Says which of some commits an object belongs to. The trees are gone through once more, for the first object asked for. */
export function commitsOf(source: LinkSource, commits: Iterable<string>): (object: ObjectName) => string[] {
  const parents = new Map<string, string[]>();
  let known = false;
  return ({ type, checksum }) => {
    const visitParent: VisitParent = (child, parent) => addParent(parents, child, parent);
    if (!known) traverse(source, commits, () => {}, visitParent);
    known = true;
    const seen = new Set<string>();
    const found: (readonly [ByteString])[] = [];
    const waiting = [keyOf(type, checksum)];
    for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
      if (seen.has(key)) continue;
      seen.add(key);
      if (key.startsWith('commit ')) found.push([byteString(key.slice('commit '.length))]);
      else waiting.push(...[...(parents.get(key) ?? [])].reverse());
    }
    return inDictOrder(found).map(([commit]) => commit);
  };
}

type Visit = (type: ObjectType, checksum: string) => void;
type VisitParent = (child: string, parent: string) => void;

function keyOf(type: ObjectType, checksum: string): string {
  return `${type} ${checksum}`;
}

/** A parent that is there already moves to the end. */
function addParent(parents: Map<string, string[]>, child: string, parent: string): void {
  const known = parents.get(child);
  if (known === undefined) parents.set(child, [parent]);
  else if (known.at(-1) !== parent)
    parents.set(child, [...known.filter((other) => other !== parent), parent]);
}

interface Frame {
  readonly key: string;
  readonly links: TreeLinks;
  /** The dirtree that is complete with this frame; undefined for a commit. */
  readonly checksum: string | undefined;
  next: number;
}

function traverse(
  source: LinkSource,
  commits: Iterable<string>,
  visit: Visit,
  visitParent: VisitParent | undefined,
): void {
  const seen = new Set<string>();
  const once = (type: ObjectType, checksum: string): void => {
    const key = type + checksum;
    if (seen.has(key)) return;
    seen.add(key);
    visit(type, checksum);
  };
  /** Entered is not complete: an object counts when all below it do. Links of damaged objects may form a circle. */
  const entered = new Set<string>();
  for (const commit of commits) {
    const found = seen.has(`commit${commit}`) ? undefined : source.commit(commit);
    if (found === undefined) continue;
    once('commit', commit);
    const { root } = found;
    if (root === undefined) continue;
    const key = keyOf('commit', commit);
    const first = { files: [], dirs: [root] };
    const stack: Frame[] = [{ key, links: first, checksum: undefined, next: 0 }];
    for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
      const link = frame.links.dirs[frame.next++];
      if (link === undefined) {
        if (frame.checksum !== undefined) once('dirtree', frame.checksum);
        stack.pop();
        continue;
      }
      visitParent?.(keyOf('dirmeta', link.dirmeta), frame.key);
      once('dirmeta', link.dirmeta);
      visitParent?.(keyOf('dirtree', link.dirtree), frame.key);
      if (entered.has(link.dirtree)) continue;
      entered.add(link.dirtree);
      const links = source.dirtree(link.dirtree, commit);
      if (links === undefined) {
        once('dirtree', link.dirtree);
        continue;
      }
      const below = keyOf('dirtree', link.dirtree);
      for (const { checksum } of links.files) {
        visitParent?.(keyOf('file', checksum), below);
        once('file', checksum);
      }
      stack.push({ key: below, links, checksum: link.dirtree, next: 0 });
    }
    if (visitParent !== undefined) visitRootAgain(source.dirtree(root.dirtree, commit), key, visitParent);
  }
}

/** The real tool counts what stands in a commit's root as the commit's own as well; the order of parents shows it. */
function visitRootAgain(links: TreeLinks | undefined, key: string, visitParent: VisitParent): void {
  for (const { checksum } of links?.files ?? []) visitParent(keyOf('file', checksum), key);
  for (const { dirtree, dirmeta } of links?.dirs ?? []) {
    visitParent(keyOf('dirmeta', dirmeta), key);
    visitParent(keyOf('dirtree', dirtree), key);
  }
}
