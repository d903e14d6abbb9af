/**
 * Holds what is mounted against what was planned: success is reported for what the kernel's own table shows, not
 * for what was asked for. Format of the table: Documentation/filesystems/proc.rst, "/proc/<pid>/mountinfo".
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import type { Fault } from './fault.ts';
import type { MountPlan, MountStep } from './plan.ts';

/**
 * Compares.
 *
 * @param mountinfo text of /proc/self/mountinfo after the plan was carried out
 * @returns what is not as planned: a mount that is missing, of another kind, with other layers, without
 *   `verity=require`, writable where it should not be, or one too many at or below the new root
 */
export function checkMounted(plan: MountPlan, mountinfo: ByteString): Fault[] {
  const expected = expectedMounts(plan);
  const found = visibleMounts(mountinfo);
  const faults: Fault[] = [];
  const add = (path: string, message: string, wanted?: string, is?: string) =>
    faults.push({
      name: 'mounted',
      message: `${show(path)}: ${message}`,
      expected: wanted,
      found: is,
      advice:
        'this is the kernel, or somebody else who mounts: boot another entry, and look for units that mount there',
    });
  for (const [path, mount] of expected) {
    const entry = found.get(path);
    if (entry === undefined) {
      if (!mount.optional) add(path, 'is not mounted', mount.kind, 'nothing');
      continue;
    }
    if (mount.kind === 'overlay') compareOverlay(path, mount.step, entry, add);
    else compareBind(path, mount.from, entry, add);
    if (mount.readonly && !entry.options.includes('ro') && !entry.superOptions.includes('ro'))
      add(path, 'is writable, but was planned read-only', 'ro', 'rw');
  }
  const root = rootOf(expected);
  for (const path of found.keys()) {
    if (!expected.has(path) && path.startsWith(`${root}/`))
      add(path, 'is a mount that was not planned', 'none', found.get(path)?.type);
  }
  return faults;
}

type Add = (path: string, message: string, wanted?: string, is?: string) => void;
type OverlayStep = Extract<MountStep, { step: 'mount overlay' }>;

type Expected = { readonly readonly: boolean; readonly optional: boolean } & (
  | { readonly kind: 'overlay'; readonly step: OverlayStep }
  /** `from` is a path of the disk as it was mounted first. */
  | { readonly kind: 'bind'; readonly from: string }
);

/** What stands at which path when all steps are done. */
function expectedMounts({ steps }: MountPlan): Map<string, Expected> {
  let mounts = new Map<string, Expected>();
  let directory = '/';
  const absolute = (path: string) => normal(path.startsWith('/') ? path : `${directory}/${path}`);
  for (const step of steps) {
    const optional = step.onlyIf !== undefined;
    switch (step.step) {
      case 'change directory':
        directory = absolute(step.path);
        break;
      case 'mount overlay':
        mounts.set(absolute(step.at), { kind: 'overlay', step, readonly: step.readonly, optional });
        break;
      case 'bind': {
        const from = sourceOf(absolute(step.from), mounts);
        mounts.set(absolute(step.at), { kind: 'bind', from, readonly: false, optional });
        break;
      }
      case 'remount': {
        const path = absolute(step.path);
        const mount = mounts.get(path);
        if (mount !== undefined) mounts.set(path, { ...mount, readonly: step.readonly });
        break;
      }
      case 'unmount':
        mounts = new Map([...mounts].filter(([path]) => !isWithin(path, absolute(step.path))));
        break;
      case 'move mount': {
        const [from, to] = [absolute(step.from), absolute(step.to)];
        mounts = new Map(
          [...mounts].map(([path, mount]) => [
            isWithin(path, from) ? to + path.slice(from.length) : path,
            mount,
          ]),
        );
        break;
      }
      default:
    }
  }
  return mounts;
}

/** Through binds back to the path that was bound. */
function sourceOf(path: string, mounts: ReadonlyMap<string, Expected>): string {
  let best = '';
  for (const [at, mount] of mounts)
    if (mount.kind === 'bind' && isWithin(path, at) && at.length > best.length) best = at;
  const mount = mounts.get(best);
  return mount?.kind === 'bind' ? mount.from + path.slice(best.length) : path;
}

/** The new root: what every other planned mount lies below. */
function rootOf(expected: ReadonlyMap<string, Expected>): string {
  return [...expected.keys()].reduce((a, b) => (b.length < a.length ? b : a), [...expected.keys()][0] ?? '/');
}

interface Entry {
  readonly id: string;
  readonly parent: string;
  /** Path in the file system that is mounted. */
  readonly root: string;
  readonly options: readonly string[];
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

/** The topmost mount at each path. */
function visibleMounts(mountinfo: ByteString): Map<string, Entry> {
  const at = new Map<string, Entry[]>();
  for (const line of mountinfo.split('\n')) {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    if (dash < 0) continue;
    const [id, parent, , root, path, options] = fields as [string, string, string, string, string, string];
    const [type = '', source = '', superOptions = ''] = fields.slice(dash + 1);
    const entry: Entry = {
      id,
      parent,
      root: unescaped(root),
      options: options.split(','),
      type,
      source: unescaped(source),
      superOptions: superOptions.split(',').map(unescaped),
    };
    const key = unescaped(path);
    at.set(key, [...(at.get(key) ?? []), entry]);
  }
  const top = new Map<string, Entry>();
  for (const [path, entries] of at) {
    const covered = new Set(entries.map(({ parent }) => parent));
    const visible = entries.find(({ id }) => !covered.has(id)) ?? entries.at(-1);
    if (visible !== undefined) top.set(path, visible);
  }
  return top;
}

function compareOverlay(path: string, step: OverlayStep, entry: Entry, add: Add): void {
  if (entry.type !== 'overlay' || entry.source !== step.source) {
    add(
      path,
      `is ${entry.type} ${show(entry.source)}`,
      `overlay ${step.source}`,
      `${entry.type} ${show(entry.source)}`,
    );
    return;
  }
  const verity = optionOf(entry, 'verity') ?? 'off';
  if (step.verity && verity !== 'require')
    add(path, 'is mounted without verity=require', 'verity=require', `verity=${verity}`);
  const { lower, data } = layersOf(entry);
  const planned = [...step.lower, ...step.data];
  const layers = [...lower, ...data];
  const same = planned.length === layers.length && planned.every((layer, i) => matches(layer, layers[i]));
  // Without data-only layers, of which old kernels know nothing, no digest would be demanded of their files.
  const dataOnly = !step.verity || data.length === step.data.length;
  if (!same || !dataOnly) add(path, 'has other layers', planned.join(' '), layers.map(show).join(' '));
  for (const [option, wanted] of [
    ['upperdir', step.upper],
    ['workdir', step.work],
  ] as const) {
    const is = optionOf(entry, option);
    if (wanted === undefined ? is !== undefined : !matches(wanted, is))
      add(path, `has another ${option}`, wanted ?? 'none', is ?? 'none');
  }
}

/** A bind shows the path in its file system: how it goes on behind the disk's own root is known. */
function compareBind(path: string, from: string, { root }: Entry, add: Add): void {
  const inside = /\/ostree\/deploy\/[^/]+\/deploy\/.*$/.exec(from)?.[0];
  if (inside !== undefined && root !== inside && !root.endsWith(inside))
    add(path, `is ${show(root)} of its file system`, show(inside), show(root));
}

function layersOf(entry: Entry): { lower: string[]; data: string[] } {
  const values = (key: string) =>
    entry.superOptions
      .filter((option) => option.startsWith(`${key}=`))
      .map((option) => option.slice(key.length + 1));
  const lower = values('lowerdir+');
  const data = values('datadir+');
  const [first = '', second] = (values('lowerdir')[0] ?? '').split('::');
  lower.push(...first.split(':').filter((layer) => layer !== ''));
  if (second !== undefined) data.push(...second.split(/::?/));
  return { lower, data };
}

function optionOf({ superOptions }: Entry, key: string): string | undefined {
  return superOptions.find((option) => option.startsWith(`${key}=`))?.slice(key.length + 1);
}

/** Six X at the end of a name in the plan stand for what mkdtemp put there. */
function matches(planned: string, found: string | undefined): boolean {
  if (found === undefined || found.length !== planned.length) return false;
  const at = planned.indexOf('XXXXXX');
  if (at < 0) return planned === found;
  return planned.slice(0, at) === found.slice(0, at) && planned.slice(at + 6) === found.slice(at + 6);
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`);
}

function normal(path: string): string {
  const out: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') out.pop();
    else if (part !== '' && part !== '.') out.push(part);
  }
  return `/${out.join('/')}`;
}

/** Blanks, line ends and backslashes stand there as three octal digits. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

function show(text: string): string {
  return displayByteString(byteString(text));
}
