/** Changes of a table of mounts, after which it is as it was planned, or not. @module */
import type { Random } from './random.ts';

/** Where a plan mounts the image as long as the overlay is not there. */
export const IMAGE_PLACE = '/run/ostree/.private/cfsroot-lower';

/** Fields of a line: identifier, parent, device, root, path, options, optional ones, then of the file system. */
type Line = string[];

/** @param root where the new root is */
export function changeTable(
  random: Random,
  table: string,
  root: string,
): { readonly name: string; readonly text: string; readonly good: boolean } {
  const lines = table
    .trimEnd()
    .split('\n')
    .map((line): Line => line.split(' '));
  const planned = lines.filter((line) => line[4] === root || (line[4] as string).startsWith(`${root}/`));
  const change = random.pick(random.once(4) ? HARMLESS : HARMFUL);
  const changed = change.make(random, lines, planned, root);
  return {
    name: change.name,
    text: `${(changed ?? lines).map((line) => line.join(' ')).join('\n')}\n`,
    good: changed === undefined || HARMLESS.includes(change),
  };
}

interface Change {
  readonly name: string;
  /** undefined if there is nothing of that kind. */
  make(random: Random, lines: Line[], planned: readonly Line[], root: string): Line[] | undefined;
}

const STRANGER = ['8:9', '/', 'rw', '-', 'ext4', '/dev/sdx', 'rw'] as const;

function stranger(id: number, parent: string, path: string): Line {
  const [device, root, options, ...rest] = STRANGER;
  return [`${id}`, parent, device, root, path, options, ...rest];
}

/** A change of one field, by its place; of those behind the dash counted from it. */
function field(
  name: string,
  at: number,
  value: (old: string) => string,
  only: (line: Line) => boolean = () => true,
): Change {
  return {
    name,
    make(random, lines, planned) {
      const fitting = planned.filter(only);
      if (fitting.length === 0) return undefined;
      const line = random.pick(fitting);
      const index = at < 0 ? line.length + at : at;
      const old = line[index] as string;
      line[index] = value(old);
      return line[index] === old ? undefined : lines;
    },
  };
}

const isOverlay = (line: Line) => line.at(-3) === 'overlay';
const isBind = (line: Line) => line.at(-3) === 'ext4';
const isRoot = (line: Line) => line[4] === '/sysroot' || line[4] === '/run/nextroot';

const HARMFUL: readonly Change[] = [
  {
    name: 'a mount is missing',
    make: (random, lines, planned) => {
      const gone = random.pick(planned);
      // All that is in it hangs in the air then.
      return lines.filter((line) => line !== gone);
    },
  },
  {
    name: 'a mount over one that was planned',
    make: (random, lines, planned) => {
      const [id, , , , path] = random.pick(planned) as [string, string, string, string, string];
      return [...lines, stranger(900, id, path)];
    },
  },
  {
    name: 'a mount inside',
    make: (random, lines, planned, root) => {
      const top = planned.find((line) => line[4] === root) as Line;
      return [
        ...lines,
        stranger(900, top[0] as string, `${root}/${random.pick(['bin', 'opt/x', 'x/y/z', '\\040'])}`),
      ];
    },
  },
  {
    name: 'a mount over what the root is in',
    make: (_, lines, __, root) => {
      if (root !== '/run/nextroot') return undefined;
      const run = lines.find((line) => line[4] === '/run') as Line;
      return [...lines, stranger(900, run[0] as string, '/run')];
    },
  },
  {
    name: 'an image left mounted',
    make: (_, lines, planned) => {
      if (!planned.some((line) => line.includes('composefs'))) return undefined;
      const run = lines.find((line) => line[4] === '/run') as Line;
      return [...lines, stranger(900, run[0] as string, IMAGE_PLACE)];
    },
  },
  field('another root of an overlay', 3, () => '/usr', isOverlay),
  field('another root of a bind', 3, (old) => `${old}/x`, isBind),
  field('a root further up', 3, (old) => old.replace(/\/[^/]+$/, ''), isBind),
  field('another device', 2, () => '8:77', isBind),
  field('another path', 4, (old) => `${old}x`),
  field(
    'read-only or writable',
    5,
    (old) => (old.startsWith('ro') ? old.replace('ro', 'rw') : old.replace('rw', 'ro')),
    isOverlay,
  ),
  field('another type', -3, () => 'ext4', isOverlay),
  field('another source', -2, (old) => `${old}x`, isOverlay),
  field('no verity', -1, (old) => old.replace(',verity=require', ''), isRoot),
  field('verity that is tried', -1, (old) => old.replace('verity=require', 'verity=on'), isRoot),
  field('another lower layer', -1, (old) => old.replace(/lowerdir(\+?)=/, 'lowerdir$1=/evil'), isOverlay),
  field('one more lower layer', -1, (old) => `${old},lowerdir+=/evil`, isOverlay),
  field('other objects', -1, (old) => old.replace('/repo/objects', '/repo/object'), isRoot),
  field(
    'another upper layer',
    -1,
    (old) => (old.includes('upperdir=') ? old.replace('upperdir=', 'upperdir=/x') : `${old},upperdir=/x`),
    isOverlay,
  ),
  field('an upper layer less', -1, (old) => old.replace(/,upperdir=[^,]*/, ''), isOverlay),
  field('another work directory', -1, (old) => old.replace('workdir=', 'workdir=/x'), isOverlay),
  field('an option twice', -1, (old) => old.replace(/,(verity|upperdir|workdir)=/, ',$1=x,$1='), isOverlay),
  field('no metacopy', -1, (old) => old.replace('metacopy=on', 'metacopy=off'), isRoot),
];

const HARMLESS: readonly Change[] = [
  { name: 'nothing', make: (_, lines) => lines },
  { name: 'another order', make: (_, lines) => [...lines].reverse() },
  {
    name: 'a mount elsewhere',
    make: (random, lines) => [
      ...lines,
      stranger(
        900,
        lines[0]?.[0] as string,
        random.pick(['/elsewhere', '/sysroo', '/sysrootx', '/sysroot.tmp2', '/proc']),
      ),
    ],
  },
  {
    name: 'other propagation',
    make: (_, lines) =>
      lines.map((line) => [...line.slice(0, 6), 'master:77', 'propagate_from:3', ...line.slice(7)]),
  },
  field('more options', 5, (old) => `${old},noatime`),
  field('more options of the file system', -1, (old) => `${old},xino=off,uuid=on,index=off`),
  {
    name: 'other numbers',
    // Of a soft reboot some mounts stay, and their numbers with them.
    make: (_, lines, __, root) =>
      root !== '/sysroot'
        ? undefined
        : lines.map(([id, parent, ...rest]) => [`${Number(id) + 500}`, `${Number(parent) + 500}`, ...rest]),
  },
];
