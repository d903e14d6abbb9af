/**
 * Deployments on other file systems than ext4, under kernels that have them: a /boot on FAT, which has no symlinks, and
 * a root on btrfs and on f2fs, whose fs-verity the kernel enforces as well.
 */
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { bootProgram } from '../initramfs/program.ts';
import { type BootCase, describeGuest, expectOk } from './cases.ts';
import type { Kernel } from './root.ts';
import { boots, refuses, SEALED, VERITY_ROOT } from './tampering-cases.ts';

/** A sysroot with a /boot on FAT, three commits, and what to look at it with. */
const FAT = `
  truncate -s 64M boot.img; mkfs.vfat -F 32 boot.img >/dev/null
  make_disk root.img 256; mkdir disk; mount -o loop root.img disk
  mkdir disk/boot; mount -o loop boot.img disk/boot
  sealtree admin init-fs --modern disk
  sealtree admin stateroot-init --sysroot=disk os
  for name in one two three; do
    make_tree $name $name
    echo "kernel $name" >$name/usr/lib/modules/1.0/vmlinuz
    sealtree commit --repo=disk/ostree/repo --branch=$name $name >$name.commit
  done
  deploy() { sealtree admin deploy --sysroot=disk --os=os --karg=root=LABEL=root "$1"; }
  # What another kernel finds there: nothing that is still in memory.
  again() { umount disk/boot; fsck.vfat -n boot.img >/dev/null; mount -o loop boot.img disk/boot; }
  list() {
    again
    echo "-- $1"
    (cd disk/boot; find . -type f | sort | sed -E 's/[0-9a-f]{64}/SUM/')
    [ -z "$(find disk/boot -type l)" ]
    for entry in disk/boot/loader/entries/*.conf; do
      [ -e "$entry" ] || continue
      link=$(sed -n 's/^options .*ostree=//p' $entry)
      root=$(readlink -f disk$link)
      echo "$(basename $entry): $(sed -n 's/^VERSION_ID=//p' $root/usr/lib/os-release) $(cat disk/boot$(sed -n 's/^linux //p' $entry))"
    done
  }
`;

const fat: BootCase[] = [
  {
    name: '/boot on FAT: deploy, again, undeploy, cleanup',
    expected: 'plain files, synchronised, the old generation stays',
    timeout: 300,
    script: `${FAT}
      deploy one; list one
      strace -f --seccomp-bpf -qq -y -e trace=openat,fsync,fdatasync,syncfs,rename,renameat,renameat2,linkat -o trace \
        sealtree admin deploy --sysroot=disk --os=os two
      list two
      deploy three; list three
      sealtree admin undeploy --sysroot=disk 1; list undeployed
      sealtree admin cleanup --sysroot=disk; list cleaned
      grep -E 'sync|rename|O_CREAT' trace | grep -E 'disk/boot|syncfs|ostree/boot' |
        sed -E "s/^[0-9]+ +//; s,$PWD/,,g; s/[0-9a-f]{64}/SUM/g"`,
    check: (result) => {
      expectOk(result);
      const entries = (state: string) =>
        (
          new RegExp(`^-- ${state}\\n([\\s\\S]*?)(?=^-- |\\n*$(?![\\s\\S]))`, 'm').exec(result.stdout)?.[1] ??
          ''
        )
          .split('\n')
          .filter((line) => /^ostree-/.test(line));
      expect(entries('one')).toEqual(['ostree-1-1.conf: one kernel one']);
      expect(entries('two')).toEqual([
        'ostree-1-1.conf: one kernel one',
        'ostree-2-1.conf: one kernel one',
        'ostree-2-2.conf: two kernel two',
      ]);
      expect(entries('three')).toEqual([
        'ostree-2-1.conf: one kernel one',
        'ostree-2-2.conf: two kernel two',
        'ostree-3-1.conf: two kernel two',
        'ostree-3-2.conf: three kernel three',
      ]);
      // What was the default stays until the new system has booted.
      expect(entries('undeployed')).toEqual([
        'ostree-3-1.conf: two kernel two',
        'ostree-3-2.conf: three kernel three',
        'ostree-4-1.conf: three kernel three',
      ]);
      expect(entries('cleaned')).toEqual(entries('undeployed'));
      const calls = [...result.stdout.matchAll(/^(fsync|syncfs|rename)\w*\((.*)\) += 0$/gm)].map(
        ([, call, words = '']) =>
          `${call} ${/([^/" <>]*)(?:>|")$/.exec(words)?.[1]?.replace(/^\.tmp-.*/, 'new')}`,
      );
      // Kernel and initramfs, their folder, the links; then all of both file systems; then entries, the default's last.
      // An entry once more under its name, beside which FAT keeps where it lies.
      const entry = (number: number) => {
        const name = `ostree-2-${number}.conf`;
        return ['fsync new', `rename ${name}`, `fsync ${name}`, 'fsync entries'];
      };
      expect(calls.slice(calls.indexOf('fsync new'), -1)).toEqual([
        ...['fsync new', 'rename vmlinuz-1.0', 'fsync new', 'rename initramfs-1.0.img'],
        ...['fsync os-SUM', 'fsync os-SUM', 'rename boot.0', 'syncfs repo', 'syncfs boot'],
        ...entry(1),
        ...entry(2),
      ]);
      return 'each entry leads to its tree and its kernel, the default is written last';
    },
  },
];

/** A deployment of ours on this file system, signed, booted in a namespace of its own. */
function booted(fileSystem: string): BootCase[] {
  return [
    boots(`signed on ${fileSystem}`, SEALED, VERITY_ROOT),
    refuses(
      `image without fs-verity on ${fileSystem}`,
      `${SEALED}; cp $deployment/.ostree.cfs i; replace $deployment/.ostree.cfs i`,
      /fsverity not enabled on composefs image/,
    ),
    {
      name: `object without fs-verity on ${fileSystem}`,
      expected: 'an I/O error on its file only',
      script: `begin; ${SEALED}; object=$repo/objects/$(sealtree ls --repo=$repo -C os/main /usr/share/doc/long |
          grep -oE '[0-9a-f]{64}' | sed 's,^..,&/,; s,$,.file,')
        cp $object o; replace $object o; boot
        cat $sysroot/usr/share/doc/long >/dev/null || echo "long refused"
        cat $sysroot/usr/share/doc/short`,
      check: (result) => {
        expect(result.stdout).toMatch(/^long refused\nshort$/m);
        return 'EIO on that file, others read';
      },
    },
  ];
}

const FILES = Object.fromEntries(
  ['sysroot.sh', 'boot.sh'].map((name) => [name, fileURLToPath(new URL(name, import.meta.url))]),
);

guest('FAT and btrfs', '6.12', 'mkfs.btrfs -q', [...fat, ...booted('btrfs')]);
guest('f2fs', '6.12 for any machine', 'mkfs.f2fs -q -O extra_attr,verity', booted('f2fs'));

function guest(title: string, kernel: Kernel, mkfs: string, cases: readonly BootCase[]): void {
  const patient = cases.map((given) => ({
    timeout: 180,
    ...given,
    script: `. /payload/boot.sh; from=/disk/ours; export from\n${given.script}`,
  }));
  describeGuest(`other file systems: ${title}`, patient, () => ({
    kernel,
    before: `. /payload/boot.sh
      mkdir -p /disk/keys /sysroot /sysroot.tmp; touch /etc/initrd-release
      sealtree keys generate --secret=/disk/keys/build.secret --public=/disk/keys/build >/dev/null
      make_tree /disk/tree2 2; : >/disk/other
      mkfs="${mkfs}"; make_ours 256`,
    files: { ...FILES, 'prepare-root': bootProgram() },
    timeout: 900,
  }));
}
