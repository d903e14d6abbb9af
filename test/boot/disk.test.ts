/**
 * A disk that `sealtree image` made on a machine without fs-verity, under a kernel that has it: the kernel takes the
 * Merkle trees for its own, notices what was changed, and writes to and grows the file system.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect } from 'vitest';
import { damageFile } from '../damage-disk.ts';
import { sealtreeOk } from '../run.ts';
import { type BootCase, describeGuest, expectOk } from './cases.ts';

const ARCHIVE = fileURLToPath(new URL('../vectors/ostree/deploy/sysroot-signed.tar.gz', import.meta.url));
const DEPLOYMENT =
  'ostree/deploy/golden/deploy/89824b2792ed896a87e87cf1e913d569dbe0f71718e2d6e6daf0b33681f7fb28.0';
const KERNEL = 'usr/lib/modules/6.12.0-golden/vmlinuz';

const ATTACH = `attach() { losetup --find --show --partscan "$@"; }
  waitfor() { until [ -b "$1" ]; do sleep 0.1; done; }
  mkdir -p root
`;

const MEASURE = `measure() {
    count=0
    for file in $(find root/ostree/repo/objects -name '*.file' -type f) root/${DEPLOYMENT}/.ostree.cfs; do
      measured=$(fsverity measure $file); digest=$(fsverity digest $file)
      [ "$measured" = "$digest" ] || { echo "$measured is not $digest"; exit 1; }
      count=$((count + 1))
    done
    echo "$count measured"
  }
`;

const cases: BootCase[] = [
  {
    name: 'disk made without fs-verity',
    expected: 'the kernel measures what the files hold',
    script: `${ATTACH}${MEASURE}
      loop=$(attach --read-only /payload/disk.raw); waitfor \${loop}p2
      mount -t ext4 -o ro \${loop}p2 root
      measure
      cat root/${DEPLOYMENT}/${KERNEL} | wc -c
      umount root
      mount -t vfat -o ro \${loop}p1 root
      cat root/loader/entries/ostree-1.conf
      umount root; losetup --detach $loop`,
    check: (result) => {
      expectOk(result);
      expect(result.stdout).toContain('9 measured\n9015\ntitle Golden OS 1 (ostree:0)\n');
      return '9 files measured, boot partition read';
    },
  },
  ...['content', 'tree', 'descriptor'].map(
    (what): BootCase => ({
      name: `disk with a changed ${what}`,
      expected: 'EIO for the changed file, no other',
      script: `${ATTACH}
      loop=$(attach --read-only /payload/${what}.raw); waitfor \${loop}p2
      mount -t ext4 -o ro \${loop}p2 root
      for file in $(find root/ostree/repo/objects -name '*.file' -type f); do
        cat $file >/dev/null 2>error || echo "$(stat -c %s $file): $(cat error)"
      done
      umount root; losetup --detach $loop`,
      check: (result) => {
        expectOk(result);
        expect(result.stdout).toMatch(/^9015: cat: \S+: Input\/output error\n$/);
        return result.stdout.trim().replace(/^.*: /, '');
      },
    }),
  ),
  {
    name: 'disk that is written to and grows',
    expected: 'clean for e2fsck, digests as before',
    timeout: 180,
    script: `${ATTACH}${MEASURE}
      dd if=/payload/disk.raw of=/disk/root.img bs=1M skip=513 conv=sparse status=none
      e2fsck -f -n /disk/root.img >/dev/null 2>&1
      truncate -s 3G /disk/root.img
      loop=$(attach /disk/root.img)
      mount -t ext4 $loop root
      sh -c 'for i in $(seq 300); do mkdir root/d$i; echo $i >root/d$i/file; done'
      resize2fs $loop >/dev/null 2>&1
      stat -f -c %b root | awk '{ exit $1 < 700000 }'
      measure
      rm -r root/d*
      file=$(find root/ostree/repo/objects -name '*.file' -type f | head -n 1)
      ! sh -c "echo >>$file" 2>/dev/null
      umount root; losetup --detach $loop
      e2fsck -f -n /disk/root.img >/dev/null 2>&1
      rm /disk/root.img`,
    check: (result) => {
      expectOk(result);
      expect(result.stdout).toContain('9 measured');
      return 'clean, 9 files measured';
    },
  },
];

const folder = mkdtempSync(join(tmpdir(), 'sealtree-image-'));
afterAll(() => rmSync(folder, { recursive: true }));

describeGuest('disks', cases, () => {
  spawnSync('tar', ['--extract', '--xattrs', '--xattrs-include=*', `--file=${ARCHIVE}`], { cwd: folder });
  sealtreeOk(['image', '--sysroot=signed', '--output=disk.raw'], { cwd: folder });
  const disk = join(folder, 'disk.raw');
  const files: Record<string, string> = { 'disk.raw': disk };
  // In the file, in its only hash block, in the root hash of its descriptor.
  for (const [what, at] of Object.entries({
    content: 5000,
    tree: 65536 + 33,
    descriptor: 65536 + 4096 + 20,
  })) {
    const copy = join(folder, `${what}.raw`);
    spawnSync('cp', ['--sparse=always', disk, copy]);
    damageFile(copy, `${DEPLOYMENT}/${KERNEL}`, at);
    files[`${what}.raw`] = copy;
  }
  return { kernel: '6.12', files, disk: 4096 };
});
