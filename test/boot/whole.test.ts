/**
 * A Debian system as it would be shipped: a root tree, sealed by `seal` with each kind of initramfs, put on a disk by
 * `image` on this machine, and booted to the login prompt, where the system itself says what it runs on. Then the same
 * disks once more, by somebody who edits the kernel command line, or the unified kernel image.
 */
import { createPrivateKey } from 'node:crypto';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type ByteString, byteString } from '../../src/core/bytes/byte-string.ts';
import { decodeVariant } from '../../src/core/gvariant/decode.ts';
import type { Variant } from '../../src/core/gvariant/value.ts';
import { bootProgram } from '../initramfs/program.ts';
import { requires } from '../requires.ts';
import { expectSuccess, run, sealtreeOk } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';
import { type UkiParts, withChangedPart, withoutSignature, writeBootPartition } from './changed-uki.ts';
import { type Machine, runMachine, type Stopped } from './machine.ts';
import { bootRoot, kernelFiles } from './root.ts';
import { systemRoot } from './system-root.ts';

const KERNEL = 'testing';
const ARGUMENTS = 'root=/dev/vda2 rw console=ttyS0';

const REPORT = `#!/bin/sh
exec >/dev/ttyS1 2>&1
echo "state $(systemctl is-system-running --wait)"
systemctl --failed --no-legend --plain
grep ' / / ' /proc/self/mountinfo
findmnt -rn -o TARGET,FSTYPE,OPTIONS
echo "booted $(base64 -w 0 /run/ostree-booted)"
for place in / /usr /etc /var /sysroot; do
  if touch $place/.probe 2>/dev/null; then rm $place/.probe; echo "writable $place"; fi
done
ostree admin status
dmesg | sed -n 's/.*ostree-prepare-root: booting/booting/p'
od -An -tu1 /sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null | sed 's/^/SecureBoot/'
dd if=/dev/urandom of=/var/kept count=1 status=none && echo "kept"
echo end
echo 'report complete' >/dev/ttyS0
`;

const UNIT = `[Unit]
Description=Report of the test
[Service]
ExecStart=/usr/lib/report
[Install]
WantedBy=multi-user.target
`;

const { describe } = requires({ root: true, boot: true, mount: 'overlay' });

interface System {
  readonly name: string;
  readonly generator: 'dracut' | 'mkinitramfs' | 'minimal';
  readonly boot: 'ext4' | 'esp';
  readonly uki?: true;
}

const SYSTEMS: readonly System[] = [
  { name: 'dracut and systemd', generator: 'dracut', boot: 'ext4' },
  { name: 'initramfs-tools', generator: 'mkinitramfs', boot: 'ext4' },
  { name: 'the boot program as process 1', generator: 'minimal', boot: 'esp' },
  {
    name: 'a signed UKI, started by firmware with Secure Boot',
    generator: 'minimal',
    boot: 'esp',
    uki: true,
  },
];

/** Of a system that can be booted once more. */
interface Made {
  readonly folder: string;
  readonly disk: string;
  readonly initrd: string;
}

interface Attack {
  readonly name: string;
  readonly append: string;
  readonly shows: readonly RegExp[];
}

/** All that the manuals of systemd and dracut know to lead around a unit. */
const ATTACKS: readonly Attack[] = [
  {
    name: 'with every unit masked that could refuse',
    append: ['ostree-prepare-root.service', 'initrd-root-fs.target', 'emergency.service']
      .map((unit) => `systemd.mask=${unit} rd.systemd.mask=${unit}`)
      .join(' '),
    shows: [
      /ostree-prepare-root: boot refused: kernel argument systemd\.mask=ostree-prepare-root\.service can lead around/,
      /Power off in 30 seconds/,
      /reboot: Power down/,
    ],
  },
  {
    name: 'with a shell for its init',
    append: 'init=/bin/sh rd.break=cleanup rd.systemd.debug_shell',
    shows: [
      /ostree-prepare-root: boot refused: kernel argument init=\/bin\/sh can lead around/,
      /Power off in 30 seconds/,
      /reboot: Power down/,
    ],
  },
];

describe('a sealed Debian system', () => {
  let scratch = '';
  let tree = '';
  const made = new Map<string, Made>();
  beforeAll(() => {
    scratch = scratchDirectory('whole');
    tree = makeTree(join(scratch, 'tree'));
  });
  afterAll(() => removeDirectory(scratch));

  for (const system of SYSTEMS) {
    it(system.name, async ({ task }) => {
      const folder = join(scratch, system.name.replaceAll(/\W+/g, '-'));
      mkdirSync(folder);
      const { commit, disk, initrd, digest } = seal(tree, folder, system);
      made.set(system.name, { folder, disk, initrd });
      const machine = { append: ARGUMENTS, disks: [{ path: disk }], folder };
      const { vmlinux } = kernelFiles(KERNEL);
      const stopped = await runMachine({
        ...machine,
        ...(system.uki ? { kernel: '', initrd: '', qemu: firmware(folder) } : { kernel: vmlinux, initrd }),
        memory: 2048,
        timeout: 400_000,
        until: /(?=[\s\S]* login: )(?=[\s\S]*report complete)/,
      });
      const { console: shown, seconds, complaint } = stopped;
      const report = stopped.report.replaceAll('\r', '');
      const context = `${complaint}\n${shown.slice(-6000)}\n${report}`;
      task.meta.boot = { expected: 'login', seen: 'no login', seconds };
      expect(shown, context).toMatch(/ login: /);
      expect(report, context).toMatch(/^end$/m);
      expect(report).toMatch(/^state running$/m);
      expect(report).toMatch(/^\/ overlay ro,.*verity=require$/m);
      expect(report).toMatch(new RegExp(`^booting .*${commit}.*mode signed, sealed; signed with key`, 'm'));
      expect(report).toMatch(/^writable \/etc\nwritable \/var$/m);
      // The real ostree reads a /boot with symlinks only.
      if (system.boot === 'ext4') expect(report).toMatch(new RegExp(`\\* default ${commit}\\.0`));
      if (system.uki) expect(report).toMatch(/^SecureBoot +\d+ +\d+ +\d+ +\d+ +1$/m);
      const encoded = /^booted (\S+)$/m.exec(report)?.[1] ?? '';
      const data = new Uint8Array(Buffer.from(encoded, 'base64'));
      const booted = decodeVariant(byteString('a{sv}'), data, 'ostree-booted') as [ByteString, Variant][];
      expect(Object.fromEntries(booted.map(([key, { value }]) => [key, value]))).toMatchObject({
        composefs: true,
        'composefs.verity': true,
        'composefs.signed': '/etc/ostree/initramfs-root-binding.key',
      });
      expect(digest).toMatch(/^[0-9a-f]{64}$/);
      task.meta.boot = { expected: 'login', seen: 'login, running, verity=require, signed', seconds };
    });
  }

  it('is refused, and powers off, whatever its command line says', async ({ task }) => {
    const { disk, initrd } = made.get('dracut and systemd') as Made;
    // Half of the time each of them waits for its power off: they run at the same time.
    const stopped = await Promise.all(
      ATTACKS.map(({ append }) =>
        start({
          kernel: kernelFiles(KERNEL).vmlinux,
          initrd,
          append: `${ARGUMENTS} ${append}`,
          disks: [{ path: disk, snapshot: true }],
        }),
      ),
    );
    for (const [index, { name, shows }] of ATTACKS.entries()) {
      const shown = stopped[index]?.console.replace(/\x1b\[[0-9;]*[A-Za-z]/g, '') ?? '';
      for (const pattern of shows) expect(shown, name).toMatch(pattern);
      expect(shown, name).not.toMatch(/Reached target initrd-switch-root|Switching root| login: /);
    }
    const seconds = Math.max(...stopped.map((one) => one.seconds));
    task.meta.boot = { expected: 'refused, powered off', seen: 'both refused, powered off', seconds };
  });

  it('is not started by firmware with Secure Boot when its UKI is changed, or not signed', async ({
    task,
  }) => {
    const { folder, initrd } = made.get(SYSTEMS.find(({ uki }) => uki)?.name ?? '') as Made;
    const image = readFileSync(join(folder, 'os.efi'));
    const parts: UkiParts = {
      kernel: readFileSync(kernelFiles(KERNEL).vmlinuz),
      initramfs: readFileSync(initrd),
      cmdline: ARGUMENTS,
    };
    const images = {
      kernel: withChangedPart(image, parts, 'kernel'),
      initramfs: withChangedPart(image, parts, 'initramfs'),
      cmdline: withChangedPart(image, parts, 'cmdline'),
      'not signed': withoutSignature(image, join(folder, 'unsigned.efi')),
      // The same way of starting it, so that a refusal is the signature's.
      'as it was signed': image,
    };
    const started = await Promise.all(
      Object.entries(images).map(async ([name, data]) => {
        const disk = join(folder, `${name}.esp`);
        writeBootPartition(disk, data);
        const found = await start({
          kernel: '',
          initrd: '',
          append: '',
          disks: [{ path: disk }],
          until: /Access Denied|Linux version/,
        });
        return [name, found] as const;
      }),
    );
    for (const [name, { console: shown }] of started) {
      const refused = name !== 'as it was signed';
      expect(/Access Denied/.test(shown), `${name}: ${shown}`).toBe(refused);
      expect(/Linux version/.test(shown), `${name}: ${shown}`).toBe(!refused);
    }
    const seconds = Math.max(...started.map(([, one]) => one.seconds));
    const seen = 'kernel, initramfs, cmdline changed, not signed: Access Denied';
    task.meta.boot = { expected: 'refused by the firmware', seen, seconds };
  });

  /** In a folder of its own; without a kernel by firmware with Secure Boot. */
  function start(machine: Omit<Machine, 'folder' | 'timeout'>): Promise<Stopped> {
    const folder = mkdtempSync(join(scratch, 'machine-'));
    const qemu = machine.kernel === '' ? { qemu: firmware(folder) } : {};
    return runMachine({ ...machine, ...qemu, folder, timeout: 400_000, memory: 1024 });
  }
});

/** The root tree of a system with a kernel, its login prompt on the serial port, and the report. */
function makeTree(tree: string): string {
  const { modules, release, vmlinuz } = kernelFiles(KERNEL);
  const sh = (script: string) =>
    expectSuccess(run(['sh', '-euc', script, 'sh', tree, systemRoot(), modules]), [script]);
  sh(`cp -a "$2" "$1"; mkdir -p "$1/usr/lib/modules"; cp -a "$3" "$1/usr/lib/modules/"
    cd "$1"; rm -rf usr/share/doc usr/share/man usr/share/locale var/cache/* var/lib/apt var/lib/dpkg etc/machine-id
    rm -rf tmp/* run/* dev/* boot/*; echo '/dev/vda1 /boot auto defaults 0 0' >etc/fstab; : >etc/machine-id`);
  copyFileSync(vmlinuz, join(tree, 'usr/lib/modules', release, 'vmlinuz'));
  for (const name of readdirSync(dirname(vmlinuz)).filter((found) => found.startsWith('config-')))
    copyFileSync(join(dirname(vmlinuz), name), join(tree, 'boot', name));
  mkdirSync(join(tree, 'sysroot'), { recursive: true });
  if (!readdirSync(tree).includes('ostree')) symlinkSync('sysroot/ostree', join(tree, 'ostree'));
  writeFileSync(join(tree, 'usr/lib/report'), REPORT, { mode: 0o755 });
  writeFileSync(join(tree, 'usr/lib/systemd/system/report.service'), UNIT);
  mkdirSync(join(tree, 'usr/lib/systemd/system/multi-user.target.wants'), { recursive: true });
  symlinkSync(
    '../report.service',
    join(tree, 'usr/lib/systemd/system/multi-user.target.wants/report.service'),
  );
  return tree;
}

/** Seals the tree and makes a disk of it. */
function seal(tree: string, folder: string, { generator, uki, boot }: System) {
  const { release } = kernelFiles(KERNEL);
  const repo = join(folder, 'repo');
  const image = join(folder, 'os.efi');
  const kargs = ARGUMENTS.split(' ').map((argument) => `--karg=${argument}`);
  const signed = uki ? [`--uki=${image}`, ...secureBootKeys(folder)] : [];
  const sealed = sealtreeOk(
    [
      'seal',
      '--json',
      `--repo=${repo}`,
      `--output=${folder}`,
      `--program=${bootProgram()}`,
      `--generator=${generator}`,
      ...kargs,
      ...signed,
      tree,
    ],
    { timeout: 600_000, env: { PATH: `${folder}:${process.env.PATH}` } },
  );
  const { commit } = JSON.parse(sealed) as { commit: string };
  const disk = join(folder, 'disk.raw');
  const files = uki ? [`--boot-file=EFI/Linux/os.efi=${image}`] : [];
  sealtreeOk(
    ['image', `--repo=${repo}`, '--ref=os', `--output=${disk}`, ...kargs, `--boot=${boot}`, ...files],
    {
      timeout: 600_000,
    },
  );
  const initrd = join(folder, 'initrd');
  const data = sealtreeOk(['cat', `--repo=${repo}`, 'os', `/usr/lib/modules/${release}/initramfs.img`]);
  writeFileSync(initrd, Buffer.from(data, 'latin1'));
  const digest = sealtreeOk([
    'show',
    `--repo=${repo}`,
    '--print-metadata-key=ostree.composefs.digest.v0',
    '--print-hex',
    'os',
  ]).trim();
  rmSync(repo, { recursive: true });
  return { commit, disk, initrd, digest };
}

/** The key and certificate that the firmware of Debian's tests trusts, and a ukify to sign with. */
function secureBootKeys(folder: string): string[] {
  const root = bootRoot() as string;
  const snakeoil = join(root, 'usr/share/ovmf/PkKek-1-snakeoil');
  const key = createPrivateKey({ key: readFileSync(`${snakeoil}.key`), passphrase: 'snakeoil' });
  writeFileSync(join(folder, 'db.key'), key.export({ type: 'pkcs8', format: 'pem' }));
  copyFileSync(`${snakeoil}.pem`, join(folder, 'db.pem'));
  const script = `#!/bin/sh
exec unshare --mount --propagation private sh -euc 'mkdir -p "$0$1"; mount --rbind "$1" "$0$1"; mount --rbind /dev "$0/dev"
  mount -t proc proc "$0/proc"; shift; exec chroot "$0" /usr/bin/ukify "$@"' '${root}' '${tmpdir()}' "$@"
`;
  writeFileSync(join(folder, 'ukify'), script, { mode: 0o755 });
  return [`--secure-boot-key=${join(folder, 'db.key')}`, `--certificate=${join(folder, 'db.pem')}`];
}

/** OVMF that starts only what is signed with the snakeoil key. */
function firmware(folder: string): string[] {
  const ovmf = join(bootRoot() as string, 'usr/share/OVMF');
  copyFileSync(join(ovmf, 'OVMF_VARS_4M.snakeoil.fd'), join(folder, 'vars.fd'));
  return [
    ...['-machine', 'smm=on', '-global', 'driver=cfi.pflash01,property=secure,value=on'],
    ...['-drive', `if=pflash,unit=0,format=raw,read-only=on,file=${join(ovmf, 'OVMF_CODE_4M.secboot.fd')}`],
    ...['-drive', `if=pflash,unit=1,format=raw,file=${join(folder, 'vars.fd')}`],
  ];
}
