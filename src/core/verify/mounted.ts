/**
 * Holds what is mounted against what was planned: success is reported for what the kernel's own table shows, not
 * for what was asked for.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import type { Fault } from './fault.ts';
import { type MountEntry, type MountTable, readMountTable } from './mount-table.ts';
import type { MountPlan, MountStep } from './plan.ts';

/**
 * Compares.
 *
 * @param before text of /proc/self/mountinfo before the plan was carried out
 * @param after the same afterwards
 * @returns what is not as planned: a mount that is missing, of another kind, of another place, with other layers,
 *   without `verity=require`, writable where it should not be or the other way round, one too many below the new root,
 *   or one that should be gone
 * @throws SealtreeError `malformed` for what is no such table
 */
export function checkMounted(plan: MountPlan, before: ByteString, after: ByteString): Fault[] {
  const { mounts, left } = simulate(plan);
  const [old, table] = [readMountTable(before), readMountTable(after)];
  const mountedAt = (path: string) => {
    const entry = table.at(path);
    return entry?.path === path ? entry : undefined;
  };
  const faults: Fault[] = [];
  const add: Add = (path, message, wanted, is) =>
    faults.push({
      name: 'mounted',
      message: `${show(path)}: ${message}`,
      expected: wanted,
      found: is,
      advice:
        'this is the kernel, or somebody else who mounts: boot another entry, and look for units that mount there',
    });
  for (const [path, mount] of mounts) {
    const entry = mountedAt(path);
    if (entry === undefined) {
      if (!mount.optional) add(path, 'is not mounted', mount.kind, 'nothing');
      continue;
    }
    if (mount.kind === 'overlay') compareOverlay(path, mount.step, entry, add);
    else if (mount.kind === 'bind') compareBind(path, mount.source, old, entry, add);
    else add(path, 'is still mounted', 'nothing', entry.type);
    compareAccess(path, mount.readonly, entry, add);
  }
  const root = rootOf(mounts);
  for (const { path, type } of table.entries) {
    if (!mounts.has(path) && path.startsWith(`${root}/`) && mountedAt(path) !== undefined)
      add(path, 'is a mount that was not planned', 'none', type);
  }
  for (const path of left.keys()) {
    const entry = mounts.has(path) ? undefined : mountedAt(path);
    if (entry !== undefined && old.at(path)?.id !== entry.id)
      add(path, 'is still mounted', 'nothing', entry.type);
  }
  return faults;
}

/**
 * Where mounts of a plan stand that was carried out, as a whole or its first steps, and where they have stood.
 *
 * @returns absolute paths; `over` says that something was mounted there before
 */
export function plannedMounts(plan: MountPlan): { readonly path: ByteString; readonly over: boolean }[] {
  const { mounts, left } = simulate(plan);
  const places = [
    ...[...left].filter(([, over]) => !over),
    ...[...mounts].map(([path, { over }]) => [path, over] as const),
  ];
  return places.map(([path, over]) => ({ path: byteString(path), over }));
}

type Add = (path: string, message: string, wanted?: string, is?: string) => void;
type OverlayStep = Extract<MountStep, { step: 'mount overlay' }>;

/** A place in the file system that stood at `base` before, in the mount that `base` led to. */
interface Source {
  readonly base: string;
  readonly rest: string;
}

type Expected = {
  /** undefined for what the source of a bind was. */
  readonly readonly: boolean | undefined;
  readonly optional: boolean;
  readonly over: boolean;
} & (
  | { readonly kind: 'image' }
  | { readonly kind: 'overlay'; readonly step: OverlayStep }
  | { readonly kind: 'bind'; readonly source: Source }
);

interface Simulation {
  /** What stands at which path when all steps are done. */
  mounts: Map<string, Expected>;
  /** Paths that were mount points in between, and whether something was mounted there before. */
  readonly left: Map<string, boolean>;
}

function simulate({ steps }: MountPlan): Simulation {
  let mounts = new Map<string, Expected>();
  const left = new Map<string, boolean>();
  let directory = '/';
  const absolute = (path: string) => normal(path.startsWith('/') ? path : `${directory}/${path}`);
  for (const step of steps) {
    const common = { readonly: undefined, optional: step.onlyIf !== undefined, over: false };
    switch (step.step) {
      case 'change directory':
        directory = absolute(step.path);
        break;
      case 'mount image':
        mounts.set(absolute(step.at), { ...common, kind: 'image', readonly: true });
        break;
      case 'mount overlay':
        mounts.set(absolute(step.at), { ...common, kind: 'overlay', step, readonly: step.readonly });
        break;
      case 'bind': {
        const [from, at] = [absolute(step.from), absolute(step.at)];
        mounts.set(at, { ...common, kind: 'bind', source: sourceOf(from, mounts), over: from === at });
        break;
      }
      case 'remount': {
        const path = absolute(step.path);
        const mount = mounts.get(path);
        if (mount !== undefined) mounts.set(path, { ...mount, readonly: step.readonly });
        break;
      }
      case 'unmount':
        mounts = new Map(
          [...mounts].filter(([path, { over }]) => {
            const gone = isWithin(path, absolute(step.path));
            if (gone) left.set(path, over);
            return !gone;
          }),
        );
        break;
      case 'move mount': {
        const [from, to] = [absolute(step.from), absolute(step.to)];
        mounts = new Map(
          [...mounts].map(([path, mount]) => {
            if (!isWithin(path, from)) return [path, mount];
            left.set(path, mount.over);
            return [to + path.slice(from.length), mount];
          }),
        );
        break;
      }
      default:
    }
  }
  return { mounts, left };
}

/** Through binds, which are of one mount alone, back to what was bound first. */
function sourceOf(path: string, mounts: ReadonlyMap<string, Expected>): Source {
  let best = '';
  for (const [at, mount] of mounts)
    if (mount.kind === 'bind' && isWithin(path, at) && at.length > best.length) best = at;
  const mount = mounts.get(best);
  if (mount?.kind !== 'bind') return { base: path, rest: '' };
  return { base: mount.source.base, rest: mount.source.rest + path.slice(best.length) };
}

/** The new root: what every other planned mount lies below. */
function rootOf(expected: ReadonlyMap<string, Expected>): string {
  return [...expected.keys()].reduce((a, b) => (b.length < a.length ? b : a), [...expected.keys()][0] ?? '/');
}

function compareOverlay(path: string, step: OverlayStep, entry: MountEntry, add: Add): void {
  const twice = SINGLE_OPTIONS.find((option) => valuesOf(entry, option).length > 1);
  if (twice !== undefined)
    add(path, `has ${twice} twice`, 'once', valuesOf(entry, twice).map(show).join(' '));
  if (entry.type !== 'overlay' || entry.root !== '/' || entry.source !== step.source) {
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
  // Shown only where they are not what the kernel does by itself.
  for (const option of step.composefs ? (['metacopy', 'redirect_dir'] as const) : []) {
    const is = optionOf(entry, option) ?? 'on';
    if (is !== 'on')
      add(path, `is mounted with ${option}=${show(is)}`, `${option}=on`, `${option}=${show(is)}`);
  }
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

/** A bind shows the file system, and the path in it, of the mount that its source was in. */
function compareBind(
  path: string,
  { base, rest }: Source,
  old: MountTable,
  entry: MountEntry,
  add: Add,
): void {
  const mount = old.at(base);
  const is = `${show(entry.root)} of file system ${entry.device}`;
  // The mount below a changed root is not shown, and so is nothing but the end of the path known.
  const inside = normal(
    mount === undefined ? base + rest : mount.root + base.slice(mount.path.length) + rest,
  );
  const same =
    mount === undefined
      ? entry.root.endsWith(inside)
      : entry.root === inside && entry.device === mount.device;
  if (!same) add(path, `is ${is}`, `${show(inside)} of file system ${mount?.device ?? 'unknown'}`, is);
}

function compareAccess(path: string, readonly: boolean | undefined, { options }: MountEntry, add: Add): void {
  if (readonly === true && !options.includes('ro'))
    add(path, 'is writable, but was planned read-only', 'ro', 'rw');
  if (readonly === false && !options.includes('rw'))
    add(path, 'is read-only, but was planned writable', 'rw', 'ro');
}

function layersOf(entry: MountEntry): { lower: string[]; data: string[] } {
  const lower = valuesOf(entry, 'lowerdir+');
  const data = valuesOf(entry, 'datadir+');
  const [first = '', second] = (optionOf(entry, 'lowerdir') ?? '').split('::');
  lower.push(...first.split(':').filter((layer) => layer !== ''));
  if (second !== undefined) data.push(...second.split(/::?/));
  return { lower, data };
}

/** Options of overlayfs that stand there once, if at all. */
const SINGLE_OPTIONS = ['lowerdir', 'upperdir', 'workdir', 'verity', 'metacopy', 'redirect_dir'] as const;

function optionOf(entry: MountEntry, key: string): string | undefined {
  return valuesOf(entry, key)[0];
}

function valuesOf({ superOptions }: MountEntry, key: string): string[] {
  const start = `${key}=`;
  return superOptions
    .filter((option) => option.startsWith(start))
    .map((option) => option.slice(start.length));
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

function show(text: string): string {
  return displayByteString(byteString(text));
}
