/**
 * Images under kernels with fs-verity: what `checkout --composefs`, `mount` and `verify` do there, beside the real tools,
 * and that a byte changed on the disk below is an I/O error on exactly the file that it belongs to.
 */
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { type BootCase, describeGuest, expectOk } from './cases.ts';

/** A disk with a repository of ours and an image checked out, made once for all cases of a guest. */
const MASTER = `. /payload/sysroot.sh
  cd /disk; make_tree tree; make_disk master.ext4; mkdir master; mount -o loop master.ext4 master
  sealtree init --repo=master/repo --mode=bare
  sealtree config --repo=master/repo set ex-integrity.composefs true
  sealtree commit --repo=master/repo --branch=b --generate-composefs-metadata tree
  sealtree checkout --repo=master/repo --composefs b master/image.cfs
  sealtree show --repo=master/repo --print-metadata-key=ostree.composefs.digest.v0 --print-hex b >digest
  sealtree ls --repo=master/repo --checksum b /usr/share/doc/long | grep -oE '[0-9a-f]{64}' |
    sed 's,^..,&/,; s,$,.file,' >object
  umount master`;

/** A copy of that disk in the directory `ours`; `$digest` is the image's, `$object` the one of /usr/share/doc/long. */
const REPOSITORY = `ln -s /disk/tree tree
  cp --sparse=always /disk/master.ext4 disk.ext4; attach disk.ext4 ours; mkdir -p theirs mnt
  digest=$(cat /disk/digest); object=ours/repo/objects/$(cat /disk/object)`;
const OPTIONS = '-o basedir=ours/repo/objects,digest=$digest,verity,ro';

const cases: BootCase[] = [
  {
    name: 'checkout --composefs',
    expected: 'the image and fs-verity of the real ostree',
    script: `each 'mkdir tree; cp -a /payload/both.sh tree/file; seq 9000 >tree/long'
      both ostree init --repo=repo --mode=bare
      each 'ostree config --repo=repo set ex-integrity.composefs true'
      both ostree commit --repo=repo --branch=b --timestamp=@1 --owner-uid=0 --owner-gid=0 tree
      both ostree checkout --repo=repo --composefs b image.cfs
      both fsverity measure image.cfs
      both ostree checkout --repo=repo --composefs-noverity b plain.cfs
      both fsverity measure plain.cfs
      cmp ours/image.cfs theirs/image.cfs
      mount -t tmpfs tmpfs ours; mount -t tmpfs tmpfs theirs
      each 'mkdir tree; echo a >tree/file; ostree init --repo=repo --mode=bare'
      each 'ostree config --repo=repo set ex-integrity.fsverity yes'
      both ostree commit --repo=repo --branch=b --timestamp=@1 --owner-uid=0 --owner-gid=0 tree
      umount ours theirs`,
    check: ({ stdout }) => {
      expect(stdout).toMatch(/measure image\.cfs: 0 sha256:[0-9a-f]{64}/);
      expect(stdout).toContain('fsverity required but filesystem does not support it');
      return 'alike; without fs-verity refused alike';
    },
  },
  {
    name: 'mount with digest and verity',
    expected: 'the mount of the real mount.composefs',
    script: `${REPOSITORY}
      sealtree mount ${OPTIONS} ours/image.cfs mnt
      grep ' /tmp/case/mnt ' /proc/self/mountinfo | sed 's/.* - //; s/[.]composefs[.][^,]*/.composefs.XXXXXX/' >mount.ours
      cmp mnt/usr/share/doc/long tree/usr/share/doc/long; getfattr --only-values -n user.note mnt/usr/share/doc/short; echo
      sealtree umount mnt
      mount.composefs ${OPTIONS} ours/image.cfs mnt
      grep ' /tmp/case/mnt ' /proc/self/mountinfo | sed 's/.* - //; s/[.]composefs[.][^,]*/.composefs.XXXXXX/' >mount.theirs
      umount mnt
      cat mount.ours mount.theirs`,
    check: ({ stdout }) => {
      const [ours, theirs] = stdout.trim().split('\n').slice(-2);
      expect(ours).toContain('verity=require');
      expect(ours).toBe(theirs);
      return ours;
    },
  },
  {
    name: 'mount of an image without fs-verity',
    expected: 'the refusal of the real mount.composefs',
    script: `${REPOSITORY}
      cd ours; cp image.cfs plain.cfs; mkdir m; cd ..; mkdir theirs/m; mount --bind ours theirs
      both mount.composefs -o basedir=repo/objects,digest=$digest plain.cfs m
      both mount.composefs -o basedir=repo/objects,digest=$(echo $digest | tr 0-9 1-90) image.cfs m
      both mount.composefs -o basedir=repo/absent,digest=$digest image.cfs m
      findmnt -rn -o TARGET | grep /m$ && exit 1 || true`,
    check: ({ stdout }) => {
      expect(stdout).toContain('mage has no fs-verity');
      expect(stdout).toContain('mage has wrong fs-verity');
      return '3 refusals alike, nothing mounted';
    },
  },
  {
    name: 'verity=require and an object without fs-verity',
    expected: 'an I/O error on its file only',
    script: `${REPOSITORY}
      cp $object copy; cp copy $object.copy; mv $object.copy $object
      sealtree mount ${OPTIONS} ours/image.cfs mnt
      cat mnt/usr/share/doc/short; cmp mnt/usr/bin/busybox tree/usr/bin/busybox
      cat mnt/usr/share/doc/long || echo "status $?"; umount mnt`,
    check: ({ stdout }) => ioError(stdout),
  },
  {
    name: 'an object swapped for another with fs-verity',
    expected: 'an I/O error on its file only',
    script: `${REPOSITORY}
      seq 30001 >$object.copy; fsverity enable $object.copy; mv $object.copy $object
      sealtree mount ${OPTIONS} ours/image.cfs mnt
      cat mnt/usr/share/doc/short; cmp mnt/usr/bin/busybox tree/usr/bin/busybox
      cat mnt/usr/share/doc/long || echo "status $?"; umount mnt`,
    check: ({ stdout }) => ioError(stdout),
  },
  {
    name: 'a byte of an object changed on the disk after mounting',
    expected: 'an I/O error on its file only',
    script: `${REPOSITORY}
      sealtree mount ${OPTIONS} ours/image.cfs mnt
      damage disk.ext4 $object 100
      cat mnt/usr/share/doc/short; cmp mnt/usr/bin/busybox tree/usr/bin/busybox
      cat mnt/usr/share/doc/long >/dev/null || echo "status $?"; umount mnt`,
    check: ({ stdout }) => ioError(stdout),
  },
  {
    name: 'a byte of the image changed on the disk',
    expected: 'an I/O error when it is mounted',
    script: `${REPOSITORY}
      damage disk.ext4 ours/image.cfs 1030
      sealtree mount ${OPTIONS} ours/image.cfs mnt`,
    check: ({ status, stderr }) => {
      expect(status).toBe(1);
      expect(stderr).toMatch(/Input\/output error|Structure needs cleaning/);
      return undefined;
    },
  },
  {
    name: 'verify of a deployment made by the real ostree',
    expected: 'yes, also of the image and the objects in the kernel; no without fs-verity',
    script: `make_tree tree; printf '[composefs]\\nenabled=signed\\n' >tree/usr/lib/ostree/prepare-root.conf
      sealtree keys generate --secret=secret --public=public >/dev/null
      make_disk disk.ext4; attach disk.ext4 sysroot; make_sysroot sysroot --sign-from-file=secret
      deployment=$(echo sysroot/ostree/deploy/os/deploy/*.0)
      sealtree verify --keys-file=public $deployment
      object=$(grep -slx 29999 sysroot/ostree/repo/objects/*/*.file || :)
      cp -a $object $object.copy; mv $object.copy $object
      sealtree verify --keys-file=public $deployment || echo "status $?"
      cp $deployment/.ostree.cfs copy; chattr -i $deployment; cp copy $deployment/copy; mv $deployment/copy $deployment/.ostree.cfs
      sealtree verify --boot --keys-file=public $deployment || echo "status $?"`,
    check: ({ stdout }) => {
      expect(stdout).toContain('yes   image in the kernel');
      expect(stdout).toMatch(
        /^yes {3}objects in the kernel: the kernel measures of all \d+ what the image names$/m,
      );
      expect(stdout).toMatch(/^NO {4}objects in the kernel: 1 of \d+ would not be read$/m);
      expect(stdout).toContain('fs-verity is off: it would not be read');
      expect(stdout).toMatch(/^NO {4}image in the kernel: .*fsverity not enabled on composefs image$/m);
      expect(stdout.match(/^status 3$/gm)).toHaveLength(2);
      return 'yes; no without fs-verity';
    },
  },
  {
    name: 'the tour of npm start',
    expected: 'its sealed branch to the end',
    script: `mount --bind /disk /var/tmp
      node -e "import('/payload/sealtree/scripts/tour.mjs').then(async ({tour}) => {
        process.exitCode = await tour('/payload/sealtree', ['/usr/share/bash-completion']) })"`,
    timeout: 200,
    check: ({ status, stdout, stderr }) => {
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toContain('The kernel holds the image to that digest, and every file to its own.');
      return 'mounted with the digest, then refused the damage';
    },
  },
];

/** Cases that are about the kernel, and not about our own program. */
const KERNEL = /mount|object/;

for (const kernel of ['6.12', 'testing'] as const) {
  const chosen = cases.filter(({ name }) => kernel === '6.12' || KERNEL.test(name));
  describeGuest(`images, kernel ${kernel}`, chosen.map(prepared), () => ({
    kernel,
    before: MASTER,
    timeout: 600,
    files: Object.fromEntries(
      ['both.sh', 'sysroot.sh'].map((name) => [name, fileURLToPath(new URL(name, import.meta.url))]),
    ),
  }));
}

function prepared(given: BootCase): BootCase {
  const both = given.script.includes('both ');
  return {
    ...given,
    script: `. /payload/both.sh; . /payload/sysroot.sh
      ${both && given.script.startsWith('each') ? 'mkdir /disk/$$; cd /disk/$$; mkdir ours theirs' : ''}
      ${given.script}
      ${both ? 'exit $failed' : ''}`,
    timeout: given.timeout ?? 120,
    check: (result) => {
      if (both) expectOk(result);
      return given.check(result);
    },
  };
}

/** The other files were read, and this one was not. */
function ioError(stdout: string): string {
  expect(stdout).toMatch(/^short\n/m);
  expect(stdout).toMatch(/status 1\n$/);
  return 'EIO on that file, others read';
}
