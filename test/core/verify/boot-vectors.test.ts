/** Against what ostree-prepare-root 2026.4 did: test/vectors/prepare-root/ORIGIN.md. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../../src/core/bytes/hex.ts';
import { encodeVariant } from '../../../src/core/gvariant/encode.ts';
import type { Value } from '../../../src/core/gvariant/value.ts';
import { portableHash } from '../../../src/core/hash.ts';
import { type BootFacts, decideBoot } from '../../../src/core/verify/boot.ts';
import type { BootDecision } from '../../../src/core/verify/boot-decision.ts';
import { checkMounted } from '../../../src/core/verify/mounted.ts';
import { type DeployedDisk, deployedDisk, goldenKey } from '../../deployed-disk.ts';
import { file, memorySystem } from '../../memory-system.ts';

interface Vector {
  readonly cmdline: string;
  /** Up to the exit status. */
  readonly output: readonly string[];
  readonly status: number;
  readonly mounts: readonly string[];
  /** /run/ostree-booted, undefined if it was not written. */
  readonly booted: string | undefined;
}

function vector(name: string): Vector {
  const text = readFileSync(new URL(`../../vectors/prepare-root/${name}.txt`, import.meta.url), 'utf8');
  const lines = text.split('\n');
  const end = lines.findIndex((line) => line.startsWith('rc='));
  const section = (title: string) => {
    const at = lines.indexOf(`--- ${title}`);
    if (at < 0) return [];
    const rest = lines.slice(at + 1);
    return rest.slice(
      0,
      rest.findIndex((line) => !/^(?:[0-9a-f]{8}:|\/|DEPLOYMENTS)/.test(line)),
    );
  };
  const dump = section('/run/ostree-booted').map((line) => line.slice(10, 49).replace(/ /g, ''));
  return {
    cmdline: (lines[0] as string).replace('cmdline: ', '').trimEnd(),
    output: lines.slice(1, end),
    status: Number((lines[end] as string).slice(3)),
    mounts: section('mountinfo'),
    booted: dump.length === 0 ? undefined : dump.join(''),
  };
}

interface Case {
  readonly disk: 'yes' | 'signed';
  readonly usr?: string;
  readonly etc?: string;
  readonly key?: string;
  readonly change?: (disk: DeployedDisk) => void;
}

const SIGNED = '[composefs]\nenabled=signed\n';
const YES = '[composefs]\nenabled=yes\n';
const KEY = '/etc/ostree/initramfs-root-binding.key';
const A = `${goldenKey('a')}\n`;

const withoutImage = ({ tree, deployment }: DeployedDisk) => void tree.delete(`${deployment}/.ostree.cfs`);
const object = ({ commit }: DeployedDisk, type: string) =>
  `/sysroot/ostree/repo/objects/${commit.slice(0, 2)}/${commit.slice(2)}.${type}`;

/** The configurations that the outputs belong to. */
const CASES: Readonly<Record<string, Case>> = {
  bogus: { disk: 'yes', usr: '[composefs]\nenabled=bogus\n' },
  'both-transient': { disk: 'yes', usr: `${YES}[root]\ntransient=true\ntransient-ro=true\n` },
  'karg-verity': { disk: 'yes', usr: YES },
  maybe: { disk: 'yes', usr: '[composefs]\nenabled=maybe\n' },
  'maybe-nocfs': { disk: 'yes', usr: '[composefs]\nenabled=maybe\n', change: withoutImage },
  noconf: { disk: 'yes' },
  one: { disk: 'yes', usr: '[composefs]\nenabled=1\n' },
  'signed-emptykey': { disk: 'signed', usr: SIGNED, key: '' },
  'signed-nocommit': {
    disk: 'signed',
    usr: SIGNED,
    key: A,
    change: (disk) => void disk.tree.delete(object(disk, 'commit')),
  },
  'signed-nokey': { disk: 'signed', usr: SIGNED },
  'signed-nometa': {
    disk: 'signed',
    usr: SIGNED,
    key: A,
    change: (disk) => void disk.tree.delete(object(disk, 'commitmeta')),
  },
  'signed-tamperedcommit': {
    disk: 'signed',
    usr: SIGNED,
    key: A,
    change: (disk) => {
      const { data } = disk.tree.get(object(disk, 'commit')) as { data: Uint8Array };
      disk.tree.set(
        object(disk, 'commit'),
        file(Uint8Array.from(data, (byte, i) => (i === 100 ? byte ^ 1 : byte))),
      );
    },
  },
  'signed-twokeys': { disk: 'signed', usr: SIGNED, key: `${goldenKey('wrong')}\n${A}` },
  'signed-wrongkey': { disk: 'signed', usr: SIGNED, key: `${goldenKey('wrong')}\n` },
  signed: { disk: 'signed', usr: SIGNED, key: A },
  'transient-nocfs': { disk: 'yes', usr: '[root]\ntransient=true\n', change: withoutImage },
  'transient-ro': { disk: 'yes', usr: '[composefs]\nenabled=maybe\n[root]\ntransient-ro=true\n' },
  transient: { disk: 'yes', usr: `${YES}[root]\ntransient=true\n[etc]\ntransient=true\n` },
  upperYES: { disk: 'yes', usr: '[composefs]\nenabled=YES\n' },
  verity: { disk: 'yes', usr: '[composefs]\nenabled=verity\n' },
  'yes-nocfs': { disk: 'yes', usr: YES, change: withoutImage },
  yes: { disk: 'yes', usr: YES },
};

/** Where the program is stricter on purpose, with what it says instead. */
const STRICTER: Readonly<Record<string, Case & { readonly says: string }>> = {
  'etc-overrides-usr': {
    disk: 'signed',
    usr: SIGNED,
    etc: '[etc]\ntransient=true\n',
    key: A,
    says: 'replaces the stricter /usr/lib/ostree/prepare-root.conf as a whole',
  },
  'karg-signed-nokeysloaded': {
    disk: 'yes',
    usr: YES,
    says: "Reading public key file '/etc/ostree/initramfs-root-binding.key'",
  },
  'karg-yes': { disk: 'signed', usr: SIGNED, key: A, says: 'would turn off the signature check' },
  karg0: { disk: 'signed', usr: SIGNED, key: A, says: 'would turn off the signature check' },
  'signed-commentkey': {
    disk: 'signed',
    usr: SIGNED,
    key: `# comment\n${A}`,
    says: 'fsverity not enabled on composefs image',
  },
  'signed-shortkey': { disk: 'signed', usr: SIGNED, key: 'YWJj\n', says: 'line 1: not a public key' },
  'signed-garbagemeta': {
    disk: 'signed',
    usr: SIGNED,
    key: A,
    change: (disk) => void disk.tree.set(object(disk, 'commitmeta'), file('garbage')),
    says: 'Signature validation requested, but no signatures in commit',
  },
};

function decide(name: string, made: Case): { found: Vector; decision: BootDecision; disk: DeployedDisk } {
  const found = vector(name);
  const disk = deployedDisk(made.disk);
  made.change?.(disk);
  if (made.usr !== undefined) disk.tree.set('/usr/lib/ostree/prepare-root.conf', file(made.usr));
  if (made.etc !== undefined) disk.tree.set('/etc/ostree/prepare-root.conf', file(made.etc));
  if (made.key !== undefined) disk.tree.set(KEY, file(made.key));
  const facts: BootFacts = {
    cmdline: byteString(found.cmdline),
    sysroot: byteString('/sysroot'),
    root: byteString(''),
    initramfs: true,
    sysrootWritable: true,
    kernel: { release: byteString('6.12.107+deb13-amd64'), features: {} },
  };
  return { found, decision: decideBoot(memorySystem(disk.tree), portableHash, facts), disk };
}

/** Device, inode and the name of the temporary directory are another boot's. */
function masked(hex: string): string {
  const out = hex.slice(0, 64) + '00'.repeat(16) + hex.slice(96);
  return out.replace(/(?<=2d6574632e)(?:[0-9a-f]{2}){6}(?=00)/g, '58'.repeat(6));
}

function bootedOf({ plan }: BootDecision): string {
  const step = plan?.steps.find((one) => one.step === 'write dictionary');
  const entries = step?.step === 'write dictionary' ? step.entries : [];
  const value = entries.map((entry): Value => {
    if (entry.type === '(tt)') return [byteString(entry.key), { type: '(tt)', value: [0n, 0n] }];
    return [byteString(entry.key), { type: entry.type, value: entry.value }];
  });
  return hexOf(encodeVariant('a{sv}', value));
}

describe('decideBoot, as ostree-prepare-root', () => {
  it.each(Object.entries(CASES))('%s', (name, made) => {
    const { found, decision } = decide(name, made);
    const printed =
      decision.refusal === undefined ? [] : [`ostree-prepare-root: ${decision.refusal.message}`];
    expect([...decision.notices, ...printed]).toEqual(found.output);
    expect(decision.refusal === undefined).toBe(found.status === 0);
    expect(decision.plan === undefined).toBe(found.status !== 0);
    if (found.booted !== undefined) expect(bootedOf(decision)).toBe(masked(found.booted));
  });

  it.each(Object.entries(STRICTER))('but for %s', (name, made) => {
    const { decision } = decide(name, made);
    expect(decision.plan).toBeUndefined();
    expect(decision.refusal?.message).toContain(made.says);
  });

  it('covers every vector', () => {
    const files = readdirSync(new URL('../../vectors/prepare-root', import.meta.url));
    const names = files.filter((name) => name.endsWith('.txt')).map((name) => name.replace('.txt', ''));
    expect([...Object.keys(CASES), ...Object.keys(STRICTER)].sort()).toEqual(names.sort());
  });
});

describe('checkMounted', () => {
  const mounted = Object.keys(CASES).filter((name) => vector(name).status === 0);

  const ROOTFS = '22 1 0:2 / / rw - tmpfs tmpfs rw\n';

  /** The vectors have no identifiers, and another commit and directory for each disk. */
  function mountinfo({ mounts }: Vector, { commit }: DeployedDisk): string {
    const lines = mounts.map((line, i) => {
      const device = line.includes(' - ext4 ') ? '8:1' : `0:${i}`;
      return `${30 + i} ${i === 0 ? 22 : 30} ${device} ${line.replace(/^DEPLOYMENTS/, '/DEPLOYMENTS')}\n`;
    });
    // What is mounted in /sysroot/sysroot is a child of that.
    const inside = lines.findIndex((line) => line.includes(' /sysroot/sysroot '));
    const text = lines.join('').replace(/^(\d+) 30 (?=.* \/sysroot\/sysroot\/)/gm, `$1 ${30 + inside} `);
    return `${ROOTFS}${text}`.replace(/[0-9a-f]{64}(?=\.0)/g, commit);
  }

  /** The disk before, which was a directory of another. */
  const original = ({ mounts }: Vector) => {
    const root = /DEPLOYMENTS\/\w+/.exec(mounts.join('\n'))?.[0];
    return byteString(`${ROOTFS}29 22 8:1 /${root} /sysroot rw - ext4 /dev/vda rw\n`);
  };

  it('knows the mounts that ostree-prepare-root made for the same plan', () => {
    expect(mounted.length).toBeGreaterThan(7);
    for (const name of mounted) {
      const { found, decision, disk } = decide(name, CASES[name] as Case);
      expect(decision.plan).toBeDefined();
      if (decision.plan !== undefined)
        expect([
          name,
          checkMounted(decision.plan, original(found), byteString(mountinfo(found, disk))),
        ]).toEqual([name, []]);
    }
  });

  it.each<[string, string, (text: string) => string, string]>([
    ['no verity=require', 'verity', (text) => text.replace(',verity=require', ''), 'without verity=require'],
    ['verity=on', 'verity', (text) => text.replace('verity=require', 'verity=on'), 'without verity=require'],
    ['another lower layer', 'yes', (text) => text.replace('cfsroot-lower', 'other'), 'has other layers'],
    [
      'another place of objects',
      'yes',
      (text) => text.replace('repo/objects', 'repo/object2'),
      'has other layers',
    ],
    [
      'an ordinary layer for objects',
      'verity',
      (text) => text.replace(',datadir+=', ',lowerdir+='),
      'other layers',
    ],
    [
      'a writable root',
      'yes',
      (text) => text.replace(/ro,relatime - overlay composefs ro/, 'rw,relatime - overlay composefs rw'),
      '/sysroot: is writable',
    ],
    [
      'a writable disk',
      'yes',
      (text) => text.replace('/sysroot/sysroot ro,', '/sysroot/sysroot rw,'),
      '/sysroot/sysroot: is writable',
    ],
    [
      'another file system',
      'yes',
      (text) => text.replace('- overlay composefs', '- ext4 /dev/sdb'),
      'is ext4 /dev/sdb',
    ],
    [
      'another overlay',
      'yes',
      (text) => text.replace('overlay composefs', 'overlay other'),
      'is overlay other',
    ],
    ['no root at all', 'yes', (text) => text.replace(/^.* \/sysroot .*\n/m, ''), '/sysroot: is not mounted'],
    [
      'the /etc of another deployment',
      'yes',
      (text) => text.replace(/\.0\/etc/, '.1/etc'),
      '/sysroot/etc: is ',
    ],
    [
      'an upper layer',
      'yes',
      (text) => text.replace(',redirect_dir', ',upperdir=/run/x,redirect_dir'),
      'another upperdir',
    ],
    [
      'another upper layer',
      'transient',
      (text) => text.replace('private/root/upper', 'private/root/other'),
      'upperdir',
    ],
    [
      'a mount over /usr',
      'yes',
      (text) => `${text}90 30 8:1 / /sysroot/usr rw - ext4 /dev/sdb rw\n`,
      '/sysroot/usr: is a mount that was not planned',
    ],
    [
      'a mount over the root',
      'yes',
      (text) => `${text}90 30 8:1 / /sysroot rw - ext4 /dev/sdb rw\n`,
      '/sysroot: is ext4 /dev/sdb',
    ],
    [
      'another disk',
      'yes',
      (text) =>
        text.replace('8:1 /DEPLOYMENTS/yes /sysroot/sysroot', '8:2 /DEPLOYMENTS/yes /sysroot/sysroot'),
      '/sysroot/sysroot: is /DEPLOYMENTS/yes of file system 8:2',
    ],
    [
      'another directory of the disk',
      'yes',
      (text) => text.replace(' /DEPLOYMENTS/yes /sysroot/sysroot', ' /DEPLOYMENTS /sysroot/sysroot'),
      '/sysroot/sysroot: is /DEPLOYMENTS of file system 8:1',
    ],
    [
      'a read-only /etc',
      'yes',
      (text) => text.replace(' /sysroot/etc rw,', ' /sysroot/etc ro,'),
      '/sysroot/etc: is read-only, but was planned writable',
    ],
    [
      'an option that stands there twice',
      'verity',
      (text) => text.replace('verity=require', 'verity=require,verity=off'),
      'has verity twice',
    ],
    [
      'no metacopy',
      'yes',
      (text) => text.replace('metacopy=on', 'metacopy=off'),
      'is mounted with metacopy=off',
    ],
    [
      'the image itself, left mounted',
      'yes',
      (text) => `${text}90 22 0:90 / /run/ostree/.private/cfsroot-lower ro - erofs none ro\n`,
      '/run/ostree/.private/cfsroot-lower: is still mounted',
    ],
  ])('notices %s', (_, name, change, says) => {
    const { found, decision, disk } = decide(name, CASES[name] as Case);
    if (decision.plan === undefined) throw new Error('no plan');
    const good = mountinfo(found, disk);
    const bad = change(good);
    expect(bad).not.toBe(good);
    const faults = checkMounted(decision.plan, original(found), byteString(bad)).map(
      ({ message }) => message,
    );
    expect(faults.join('\n')).toContain(says);
  });

  it.each<[string, (text: string) => string]>([
    ['cut off', (text) => text.slice(0, -1)],
    ['with a line of something else', (text) => `${text}something else\n`],
    ['with an identifier twice', (text) => `${text}${text.split('\n')[1]}\n`],
    ['with more fields', (text) => text.replace('- overlay composefs', '- overlay composefs more')],
  ])('does not take a table %s', (_, change) => {
    const { found, decision, disk } = decide('yes', CASES.yes as Case);
    if (decision.plan === undefined) throw new Error('no plan');
    const plan = decision.plan;
    const bad = byteString(change(mountinfo(found, disk)));
    expect(() => checkMounted(plan, original(found), bad)).toThrow(/^table of mounts/);
  });

  it('does not mind what is hidden below another mount, or stands elsewhere', () => {
    const { found, decision, disk } = decide('yes', CASES.yes as Case);
    if (decision.plan === undefined) throw new Error('no plan');
    const hidden =
      '23 22 8:1 / /sysroot rw - ext4 /dev/vda rw\n24 23 8:2 / /sysroot/boot rw - ext4 /dev/vdb rw\n';
    const text = mountinfo(found, disk)
      .replace(ROOTFS, ROOTFS + hidden)
      .replace('30 22 ', '30 23 ');
    const elsewhere = '90 22 0:90 / /run/credentials\\040of/x ro shared:3 master:4 - ramfs none rw\n';
    expect(checkMounted(decision.plan, original(found), byteString(text + elsewhere))).toEqual([]);
  });

  it('reads what older kernels show', () => {
    const { found, decision, disk } = decide('verity', CASES.verity as Case);
    if (decision.plan === undefined) throw new Error('no plan');
    const text = mountinfo(found, disk).replace(',datadir+=', '::').replace('lowerdir+=', 'lowerdir=');
    expect(text).toContain('lowerdir=/run/ostree/.private/cfsroot-lower::/sysroot/ostree/repo/objects');
    expect(checkMounted(decision.plan, original(found), byteString(text))).toEqual([]);
    // Linux 6.1, where objects are an ordinary layer: enough for `yes`, not for verity.
    const single = text.replace('::', ':');
    expect(checkMounted(decision.plan, original(found), byteString(single))).toHaveLength(1);
    const yes = decide('yes', CASES.yes as Case);
    if (yes.decision.plan === undefined) throw new Error('no plan');
    const old = mountinfo(yes.found, yes.disk).replace(',datadir+=', ':').replace('lowerdir+=', 'lowerdir=');
    expect(checkMounted(yes.decision.plan, original(yes.found), byteString(old))).toEqual([]);
  });
});
