/**
 * What is booted by tampering.test.ts: every mode, and every way in which what lies on the disk can be tampered with, as
 * lines of shell that boot.sh understands and what they must come to.
 * @module
 */
import { expect } from 'vitest';
import type { BootCase } from './cases.ts';
import type { CaseResult } from './guest.ts';

export const SIGNED = 'config "[composefs]" enabled=signed';
export const SEALED = `${SIGNED} "[etc]" transient=true; seal`;
export const VERITY_ROOT = /^mount \/ of \/ ro,relatime overlay composefs ro,lowerdir\+=.*verity=require$/m;
export const OVERLAY_ROOT = /^mount \/ of \/ \S* overlay \S+ /m;
export const BOUND_ROOT = /^mount \/ of \/ostree\/deploy\/os\/deploy\/COMMIT\.0 \S* ext4 /m;
export function boots(name: string, script: string, ...shown: RegExp[]): BootCase {
  return {
    name,
    expected: 'boots',
    script: `begin; ${script}; boot; look`,
    check: (result) => {
      expect({ status: result.status, stderr: errors(result) }).toEqual({ status: 0, stderr: '' });
      expect(result.stdout).toMatch(/^short\nversion 2$/m);
      for (const pattern of shown) expect(result.stdout).toMatch(pattern);
      const root = /^mount \/ of \S+ \S+ (\S+ \S+).*?(verity=require)?$/m.exec(result.stdout);
      return `boots: ${root?.[1]} ${root?.[2] ?? ''}`.trim();
    },
  };
}

/** Refused with this message, and nothing but the disk is at /sysroot. */
export function refuses(name: string, script: string, message: RegExp): BootCase {
  return {
    name,
    expected: 'refused',
    script: `begin; ${script}; boot; look`,
    check: ({ status, stdout, stderr }) => {
      const refusal = stderr
        .split('\n')
        .find((line) => line.startsWith('ostree-prepare-root: ') && !line.includes(': warning: '));
      expect(refusal).toMatch(message);
      expect(status).toBe(1);
      expect(stdout).toMatch(/^root is (?:ext4|btrfs|f2fs)$/m);
      return refusal?.slice('ostree-prepare-root: '.length);
    },
  };
}

/** Boots, and then one file is an I/O error while all others are as they were. */
function spoils(name: string, before: string, after: string): BootCase {
  return {
    name,
    expected: 'an I/O error on its file only',
    script: `begin; ${SIGNED}; object=$repo/objects/$(cat /disk/object); ${before}; boot; ${after}
      status=0; cat $sysroot/usr/share/doc/second >/dev/null || status=$?; echo "second $status"
      cat $sysroot/usr/share/doc/short; cmp $sysroot/usr/share/doc/long /disk/tree2/usr/share/doc/long
      cmp $sysroot/usr/bin/busybox /disk/tree2/usr/bin/busybox; echo "others read"`,
    check: ({ stdout }) => {
      expect(stdout).toMatch(/^second 1\nshort\nothers read$/m);
      return 'EIO on that file, others read';
    },
  };
}

export const modes: BootCase[] = [
  boots('signed', SIGNED, VERITY_ROOT, /^writable \/etc$/m),
  boots('signed, sealed', SEALED, VERITY_ROOT),
  boots('verity', 'config "[composefs]" enabled=verity', VERITY_ROOT),
  boots('yes', 'config "[composefs]" enabled=yes', OVERLAY_ROOT),
  boots(
    'yes without fs-verity',
    `cp $deployment/.ostree.cfs i; replace $deployment/.ostree.cfs i
    config "[composefs]" enabled=yes`,
    OVERLAY_ROOT,
  ),
  refuses(
    'yes without image',
    'rm $deployment/.ostree.cfs; config "[composefs]" enabled=yes',
    /No such file/,
  ),
  boots('maybe with image', 'config "[composefs]" enabled=maybe', OVERLAY_ROOT),
  boots('maybe without image', 'rm $deployment/.ostree.cfs; config "[composefs]" enabled=maybe', BOUND_ROOT),
  boots('no', 'config "[composefs]" enabled=no', BOUND_ROOT),
  boots('no configuration', ':'),
  boots('transient root', `${SIGNED} "[root]" transient=true`, /^writable \/$/m),
  boots('transient root, read-only', `${SIGNED} "[root]" transient-ro=true`, OVERLAY_ROOT),
  boots(
    'transient etc',
    `${SIGNED} "[etc]" transient=true`,
    /^mount \/etc of .* overlay /m,
    /^writable \/etc$/m,
  ),
  boots('writable sysroot', `${SIGNED} "[sysroot]" readonly=false`, /^writable \/sysroot$/m),
  boots('read-only sysroot', `${SIGNED} "[sysroot]" readonly=true`, /^writable \/etc$/m),
  boots(
    'without ostree=, signed and sealed',
    `${SEALED}; cmdline="root=/dev/vda rw"`,
    VERITY_ROOT,
    /^writable \/var$/m,
  ),
  boots(
    'raised by a kernel argument',
    `config "[composefs]" enabled=yes
    cmdline="$cmdline ostree.prepare-root.composefs=signed"`,
    VERITY_ROOT,
  ),
];

const image = (change: string) => `${SIGNED}; ${change}`;
export const tampering: BootCase[] = [
  spoils('a byte of an object', 'damage disk $object 10', ':'),
  spoils(
    'a byte of an object after the check',
    ':',
    'damage disk $sysroot/sysroot/$(echo $object | cut -d / -f 3-) 10',
  ),
  spoils('verity off on an object', 'cp $object o; replace $object o', ':'),
  spoils('an object swapped', 'seq 30001 >o; replace $object o; /usr/bin/fsverity enable $object', ':'),
  ...[
    ['superblock', 1030],
    ['feature bits of the superblock', 1104],
  ].map(([what, offset]) =>
    refuses(
      `a byte of the image: ${what}`,
      image(`damage disk $deployment/.ostree.cfs ${offset}`),
      /Input\/output error|Structure needs|mount/,
    ),
  ),
  {
    name: 'a byte of each block of the image: inodes, directories, xattrs',
    expected: 'never another content',
    script: `begin; ${SIGNED}; walk() { (cd $1; find . -xdev -path ./sysroot -prune -o -print | sort | while read -r path; do
        stat -c '%n %F %s %a %u %g %N' "$path"; getfattr -h -d -m - "$path" 2>/dev/null; [ ! -f "$path" ] || sha256sum "$path"; done); }
      digest=$(sealtree show --repo=$repo --print-metadata-key=ostree.composefs.digest.v0 --print-hex $commit)
      mkdir mnt; view() { mount.composefs -o basedir=$repo/objects,digest=$digest,verity,ro $deployment/.ostree.cfs mnt && walk mnt; }
      view | sort >good; umount mnt
      blocks=$(($(stat -c %s $deployment/.ostree.cfs) / 4096)); echo "blocks $blocks"
      for block in $(seq 0 $((blocks - 1))); do
        damage disk $deployment/.ostree.cfs $((block * 4096 + 1200))
        view 2>/dev/null | sort >bad
        comm -13 good bad >other; echo "block $block: $(wc -l <bad) of $(wc -l <good) lines, others: $(wc -l <other)"
        umount mnt 2>/dev/null || true
        damage disk $deployment/.ostree.cfs $((block * 4096 + 1200))
      done
      view | sort >again; cmp good again`,
    timeout: 240,
    check: ({ status, stdout }) => {
      expect(status).toBe(0);
      const blocks = [...stdout.matchAll(/^block \d+: (\d+) of (\d+) lines, others: (\d+)$/gm)];
      expect(blocks.length).toBeGreaterThan(3);
      for (const [line, bad, good, others] of blocks) {
        expect(Number(bad), line).toBeLessThan(Number(good));
        expect(Number(others), line).toBe(0);
      }
      return `${blocks.length} blocks: less is read, nothing else`;
    },
  },
  refuses(
    'image of another commit',
    image(`i=$deployment/.ostree.cfs; rm $i
    ln $sysroot/ostree/deploy/os/deploy/$other.0/.ostree.cfs $i`),
    /Wrong fsverity digest in composefs image/,
  ),
  refuses(
    'verity off on the image',
    image('cp $deployment/.ostree.cfs i; replace $deployment/.ostree.cfs i'),
    /fsverity not enabled on composefs image/,
  ),
  refuses('image gone', image('rm $deployment/.ostree.cfs'), /No such file or directory/),
  refuses(
    'image on a lying FUSE file system',
    image(`cp $deployment/.ostree.cfs i; mkdir m
    python3 /payload/lie.py m i $(/usr/bin/fsverity digest --compact i)
    /usr/bin/fsverity measure m/image | grep -q $(/usr/bin/fsverity digest --compact i)
    mount --bind m/image $deployment/.ostree.cfs`),
    /the image lies on fuse, whose fs-verity the kernel does not enforce/,
  ),
  refuses(
    'objects on another file system',
    image('mkdir o; cp -a $repo/objects/. o; mount -t tmpfs tmpfs $repo/objects; cp -a o/. $repo/objects'),
    /objects lie on tmpfs/,
  ),
];

const commitObject = (type: string) => `$repo/objects/$(object_path commit ${type})`;
export const commits: BootCase[] = [
  refuses(
    'commit edited',
    `${SIGNED}; c=${commitObject('commit')}; sed 's/sealed/SEALED/' $c >n; replace $c n`,
    /No valid \(of 1\) signatures found/,
  ),
  refuses(
    'commit truncated',
    `${SIGNED}; c=${commitObject('commit')}; head -c 100 $c >n; replace $c n`,
    /No valid \(of 1\) signatures found/,
  ),
  refuses(
    'commit emptied',
    `${SIGNED}; c=${commitObject('commit')}; : >n; replace $c n`,
    /No valid \(of 1\) signatures found/,
  ),
  refuses(
    'commit swapped',
    `${SIGNED}; replace ${commitObject('commit')} $repo/objects/$(object_path other commit)`,
    /No valid \(of 1\) signatures found/,
  ),
  refuses(
    'a differently signed commit under this name',
    `${SIGNED}
    for type in commit commitmeta; do replace $repo/objects/$(object_path commit $type) $repo/objects/$(object_path other $type); done`,
    /has the content of commit/,
  ),
  refuses('commit gone', `${SIGNED}; rm ${commitObject('commit')}`, /No such/),
  refuses('signature missing', `${SIGNED}; rm ${commitObject('commitmeta')}`, /No commitmeta for deploy/),
  refuses(
    'signature edited',
    `${SIGNED}; m=${commitObject('commitmeta')}; cp $m n
    printf '\\\\377' | dd of=n bs=1 seek=40 conv=notrunc status=none; replace $m n`,
    /No valid \(of 1\) signatures found/,
  ),
  refuses(
    'signature by another key',
    `${SIGNED}; replace ${commitObject('commitmeta')} /disk/stranger.commitmeta`,
    /No valid \(of 1\) signatures found/,
  ),
  refuses(
    'signature not of its type',
    `${SIGNED}; replace ${commitObject('commitmeta')} /payload/untyped.commitmeta`,
    /ostree\.sign\.ed25519: type is s/,
  ),
  refuses(
    'trivial signature',
    `${SIGNED}; replace ${commitObject('commitmeta')} /payload/trivial.commitmeta`,
    /No valid \(of 1\) signatures found/,
  ),
  refuses(
    'trivial signature under an all-zero key',
    `${SIGNED}; replace ${commitObject('commitmeta')} /payload/trivial.commitmeta
    echo ${Buffer.alloc(32).toString('base64')} >root/etc/ostree/initramfs-root-binding.key`,
    /initramfs-root-binding\.key.*(small order|not a|refused)/,
  ),
  refuses(
    'key file empty',
    `${SIGNED}; : >root/etc/ostree/initramfs-root-binding.key`,
    /no public keys found/,
  ),
  refuses(
    'key file wrong',
    `${SIGNED}; cp /disk/keys/stranger root/etc/ostree/initramfs-root-binding.key`,
    /No valid \(of 1\) signatures found/,
  ),
  refuses(
    'key file missing',
    `${SIGNED}; rm root/etc/ostree/initramfs-root-binding.key`,
    /Reading public key file.*No such file/,
  ),
  refuses(
    'key file with a line that is no key',
    `${SIGNED}; echo nonsense >>root/etc/ostree/initramfs-root-binding.key`,
    /line 2|:2/,
  ),
  boots(
    'key file with comments and empty lines',
    `${SIGNED}; sed -i '1i # build\\n' root/etc/ostree/initramfs-root-binding.key`,
    VERITY_ROOT,
  ),
  refuses(
    'key revoked',
    `${SEALED}; sed -i "/trusted/a revoked=$(cat /disk/keys/build)" root/usr/lib/sealtree/sealed.conf`,
    /every trusted key is revoked by the sealed file/,
  ),
  ...(
    [
      ['digest key missing', 'nodigest', /no valid digest in commit/],
      ['digest key short', 'short', /digest/],
      ['digest key of another type', 'text', /type/],
      ['digest keys that differ', 'two', /digest is 0{64}, but ostree\.composefs\.digest\.v0 says/],
    ] as const
  ).map(([name, file, message]) => refuses(name, `${SIGNED}; redeploy ${file}`, message)),
];

export const places: BootCase[] = [
  refuses(
    'deployment link elsewhere on the disk',
    `${SIGNED}; mkdir $sysroot/elsewhere; ln -sfn ../../../../elsewhere $link`,
    /out of ostree\/deploy|not a deployment/,
  ),
  refuses(
    'deployment link outside',
    `${SIGNED}; ln -sfn ../../../../../../../usr $link`,
    /out of ostree\/deploy|No such|not a deployment/,
  ),
  refuses('deployment link absolute', `${SIGNED}; ln -sfn /run $link`, /out of ostree\/deploy/),
  refuses(
    'deployment link to a deployment of another name',
    `${SIGNED}; n=$(dirname $deployment)/$other.7
    cp -al $deployment $n; ln -sfn ../../../deploy/os/deploy/$other.7 $link`,
    /Wrong fsverity digest|BAD|composefs/,
  ),
  refuses('deployment link gone', `${SIGNED}; rm $link`, /Couldn't find specified OSTree root/),
  refuses('deployment link a directory', `${SIGNED}; rm $link; mkdir $link`, /not a symbolic link/),
  refuses('no deployment named', `${SIGNED}; cmdline="root=/dev/vda rw"`, /No ostree|ostree=/),
];

export const policies: BootCase[] = [
  ...['no', 'maybe', 'yes', 'verity', '0', 'off', 'false'].map((value) =>
    refuses(
      `signed, composefs=${value}`,
      `${SEALED}; cmdline="$cmdline ostree.prepare-root.composefs=${value}"`,
      /lowers the mode from signed|composefs/,
    ),
  ),
  boots(
    'signed, composefs=signed',
    `${SEALED}; cmdline="$cmdline ostree.prepare-root.composefs=signed"`,
    VERITY_ROOT,
  ),
  ...[
    'init=/bin/sh',
    'rd.break',
    'systemd.debug-shell',
    'systemd.mask=ostree-prepare-root.service',
    'rd.systemd.unit=emergency.target',
    'systemd.unit=rescue.target',
    'rdinit=/bin/sh',
    'systemd.run=/bin/sh',
    'rd.shell=1',
    'break=bottom',
    'single',
  ].map((argument) =>
    refuses(
      `sealed, ${argument}`,
      `${SEALED}; cmdline="$cmdline ${argument}"`,
      /can lead around the verified root/,
    ),
  ),
  refuses(
    'sealed, an argument that is not in the list',
    `${SEALED}; sed -i '/mode=/a arguments=root=*;rw;quiet' root/usr/lib/sealtree/sealed.conf
    cmdline="$cmdline debug"`,
    /debug is not one that the sealed file allows/,
  ),
  boots(
    'sealed, arguments that are in the list',
    `${SEALED}; sed -i '/mode=/a arguments=root=*;rw;quiet' root/usr/lib/sealtree/sealed.conf`,
    VERITY_ROOT,
  ),
  refuses(
    'sealed, weaker configuration',
    'config "[composefs]" enabled=yes "[etc]" transient=true; seal',
    /weaker than signed, which the sealed file demands/,
  ),
  refuses('sealed, configuration gone', 'seal', /signed/),
  refuses(
    'configuration of /etc over a stricter one',
    `${SIGNED}; mv root/etc/ostree/prepare-root.conf root/usr/lib/ostree/
    config "[composefs]" enabled=yes`,
    /replaces the stricter/,
  ),
  refuses('sealed, persistent etc', `${SIGNED}; seal`, /\/etc is persistent, and nothing signs it/),
  boots('sealed, persistent etc allowed', `${SIGNED}; seal "[etc]" unsigned=allow`, VERITY_ROOT),
  {
    ...boots(
      'the fstab line, sealed',
      `${SEALED}; echo '/dev/attacker /usr ext4 defaults 0 0' >$deployment/etc/fstab`,
      VERITY_ROOT,
    ),
    expected: 'boots, the line is not seen',
    script: `begin; ${SEALED}; echo '/dev/attacker /usr ext4 defaults 0 0' >$deployment/etc/fstab; boot; look
      ! grep -s attacker $sysroot/etc/fstab; echo "no line"`,
  },
  refuses(
    'an older commit',
    `${SEALED} "[composefs]" minimum-timestamp=1600000000; cmdline="$(echo $cmdline | sed 's,/0$,/1,')"`,
    /2001-|1000000000|older|minimum/,
  ),
  boots(
    'the newest commit',
    `${SEALED} "[composefs]" minimum-timestamp=1600000000 require-metadata=product=sealed`,
    VERITY_ROOT,
  ),
  refuses('another product', `${SEALED} "[composefs]" require-metadata=product=other`, /product/),
  refuses(
    'keypath and keyfile that differ',
    'config "[composefs]" enabled=signed keypath=/a keyfile=/b',
    /keyfile|keypath/,
  ),
];

/** What was written to stderr, without warnings. */
export function errors({ stderr }: CaseResult): string {
  return stderr
    .split('\n')
    .filter((line) => !line.includes(': warning: '))
    .join('\n');
}
