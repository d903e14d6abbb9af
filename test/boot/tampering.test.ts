/**
 * The boot program under real kernels, on deployments that the real ostree made: every mode, and every way in which what
 * lies on the disk can be tampered with. Each case has a copy of the disk and an initramfs of its own, and either boots
 * or is refused with the message of the check that failed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect } from 'vitest';
import { type ByteString, byteString } from '../../src/core/bytes/byte-string.ts';
import { decodeVariant } from '../../src/core/gvariant/decode.ts';
import type { Variant } from '../../src/core/gvariant/value.ts';
import { encodeCommitmeta } from '../../src/core/ostree/commitmeta.ts';
import { bootProgram } from '../initramfs/program.ts';
import { type BootCase, describeGuest } from './cases.ts';
import type { Kernel } from './root.ts';
import {
  BOUND_ROOT,
  boots,
  commits,
  errors,
  modes,
  OVERLAY_ROOT,
  places,
  policies,
  refuses,
  SIGNED,
  tampering,
  VERITY_ROOT,
} from './tampering-cases.ts';

/** A signature by R = identity, s = 0: with the all-zero key cofactored verification takes it for any message. */
const TRIVIAL = Uint8Array.from({ length: 64 }, (_, index) => (index === 0 ? 1 : 0));

const scratch = mkdtempSync(join(tmpdir(), 'sealtree-boot-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const COMPARED: Readonly<Record<string, string>> = {
  verity: '"[composefs]" enabled=verity',
  yes: '"[composefs]" enabled=yes',
  maybe: '"[composefs]" enabled=maybe',
  no: '"[composefs]" enabled=no',
  'transient root': '"[composefs]" enabled=yes "[root]" transient=true',
  'transient root, read-only': '"[composefs]" enabled=yes "[root]" transient-ro=true',
  'transient etc': '"[composefs]" enabled=yes "[etc]" transient=true',
  'writable sysroot': '"[composefs]" enabled=yes "[sysroot]" readonly=false',
};

/** The real program and ours, one after the other on copies of the same disk. */
const compared: BootCase[] = Object.entries(COMPARED).map(([name, words]) => ({
  name: `as the real ostree-prepare-root: ${name}`,
  expected: 'the same mounts and /run/ostree-booted',
  script: ['real', '']
    .map(
      (which) => `echo "== ${which}"; mkdir "side${which}"
      unshare --mount --propagation private sh -euc '. /payload/boot.sh; begin ${which}; config ${words}; boot; look'; rm -rf root disk`,
    )
    .join('\n'),
  check: (result) => {
    expect({ status: result.status, stderr: errors(result) }).toEqual({ status: 0, stderr: '' });
    const [theirs, ours] = result.stdout
      .split(/^== .*$/m)
      .slice(1)
      .map(booted);
    expect(ours?.mounts).toEqual(theirs?.mounts.filter((line) => !line.includes(' tmpfs tmpfs ')));
    expect(ours?.metadata).toEqual(theirs?.metadata);
    return `${ours?.mounts.length} lines and ${ours?.metadata.length} keys alike`;
  },
}));

/** In software emulation some twenty times what it takes on a processor. */
const timed: BootCase = {
  name: 'time from start to mounted',
  expected: 'as figures',
  script: ['real', 'yes', 'signed']
    .map(
      (which) => `echo "${which} $(unshare --mount --propagation private sh -euc '. /payload/boot.sh
        begin ${which === 'real' ? which : ''}; config "[composefs]" enabled=${which === 'real' ? 'yes' : which}
        for round in 1 2 3 4 5; do
          rm -rf root/run/*
          unshare --mount --propagation private sh -euc "
            start=\\$(date +%s%N)
            chroot root /usr/lib/ostree/ostree-prepare-root /sysroot \\"\\$0\\" >/dev/null 2>&1
            echo \\$(((\\$(date +%s%N) - start) / 1000000))" "$cmdline"
        done' | sort -n | head -n 1)"; rm -rf root disk`,
    )
    .join('\n'),
  timeout: 180,
  check: (result) => {
    expect({ status: result.status, stderr: result.stderr }).toEqual({ status: 0, stderr: '' });
    const times = /^real (\d+)\nyes (\d+)\nsigned (\d+)\n$/.exec(result.stdout);
    expect(times, result.stdout).not.toBeNull();
    return `original, yes: ${times?.[1]} ms; ours, yes: ${times?.[2]} ms, signed: ${times?.[3]} ms`;
  },
};

/** A deployment of ours, booted by either program, and by ours as a signed one. */
const ours: BootCase[] = [
  ...[...compared, boots('signed', SIGNED, VERITY_ROOT)].map((given) => ({
    ...given,
    name: `our own deployment, ${given.name}`,
    script: `from=/disk/ours; export from\n${given.script}`,
  })),
  {
    name: 'our own deployment, ostree admin status',
    expected: 'the real ostree is content',
    script: `from=/disk/ours; begin; /usr/bin/ostree admin status --sysroot=$sysroot; echo "$commit"
      /usr/bin/ostree fsck --repo=$repo --quiet; sealtree admin status --sysroot=$sysroot`,
    check: ({ status, stdout }) => {
      expect(status).toBe(0);
      const commit = /^[0-9a-f]{64}$/m.exec(stdout)?.[0];
      expect(stdout.split(`os ${commit}.0`)).toHaveLength(3);
      return 'both list it, fsck passes';
    },
  },
];

const FILES = Object.fromEntries(
  ['both.sh', 'sysroot.sh', 'boot.sh', 'lie.py'].map((name) => [
    name,
    fileURLToPath(new URL(name, import.meta.url)),
  ]),
);

guest('modes, kernel 6.12', '6.12', [...modes, ...compared, timed]);
guest('deployments of ours, kernel 6.12', '6.12', ours, ' make_ours');
guest('tampering, kernel 6.12', '6.12', [...tampering, ...commits, ...places, ...policies]);
guest('modes, kernel testing', 'testing', [
  ...modes.slice(0, 4),
  ...tampering.filter(({ name }) => name.includes('object') || name.includes('FUSE')),
]);
guest('modes, kernel 6.1', '6.1', [
  refuses('signed', SIGNED, /6\.1.*(6\.5|6\.6)|(6\.5|6\.6).*6\.1/),
  refuses('verity', 'config "[composefs]" enabled=verity', /6\.1.*(6\.5|6\.6)|(6\.5|6\.6).*6\.1/),
  boots('yes', 'config "[composefs]" enabled=yes', OVERLAY_ROOT),
  boots('maybe with image', 'config "[composefs]" enabled=maybe', OVERLAY_ROOT),
  boots('maybe without image', 'rm $deployment/.ostree.cfs; config "[composefs]" enabled=maybe', BOUND_ROOT),
  boots('no', 'config "[composefs]" enabled=no', BOUND_ROOT),
]);

function guest(title: string, kernel: Kernel, cases: readonly BootCase[], before = ''): void {
  const sourced = cases.map((given) => ({ ...given, script: `. /payload/boot.sh\n${given.script}` }));
  describeGuest(title, sourced, () => {
    const files: Record<string, string> = { ...FILES, 'prepare-root': bootProgram() };
    const forged: [name: string, value: Variant][] = [
      ['trivial', { type: 'aay', value: [TRIVIAL] }],
      ['untyped', { type: 's', value: byteString('signature') }],
    ];
    for (const [name, value] of forged) {
      const path = join(scratch, `${name}.commitmeta`);
      writeFileSync(path, encodeCommitmeta([[byteString('ostree.sign.ed25519'), value]]));
      files[`${name}.commitmeta`] = path;
    }
    return { kernel, before: `. /payload/boot.sh; make_master;${before}`, files, timeout: 900 };
  });
}

/** Keys of /run/ostree-booted that differ from boot to boot. */
const MASKED: ReadonlySet<string> = new Set(['backing-root-device-inode', 'transient-etc']);

/** What `look` shows, with what differs from run to run masked, and the keys of /run/ostree-booted. */
function booted(text: string): { mounts: string[]; metadata: unknown[] } {
  const lines = text.trim().split('\n');
  const encoded = lines.find((line) => line.startsWith('booted '))?.slice('booted '.length) ?? '';
  const data = new Uint8Array(Buffer.from(encoded, 'base64'));
  const metadata = decodeVariant(byteString('a{sv}'), data, 'ostree-booted') as [ByteString, Variant][];
  return {
    mounts: lines.filter((line) => !line.startsWith('booted ')),
    metadata: metadata.map(([key, { type, value }]) => (MASKED.has(key) ? [key, type] : [key, type, value])),
  };
}
