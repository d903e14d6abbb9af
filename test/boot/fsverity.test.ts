/**
 * Our tool and the real ones side by side on a file system with fs-verity, under a kernel that has it: everything that
 * the kernel of the machine that runs the tests may lack.
 */
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { type BootCase, describeGuest, expectOk } from './cases.ts';

const BOTH = '. /payload/both.sh\nmkdir /disk/$$; cd /disk/$$; mkdir ours theirs\n';
const SIZES = [0, 1, 4096, 4097, 300_000, 1_048_577];
const OPTIONS = [
  '--hash-alg=sha512',
  '--block-size=1024',
  '--block-size=2048 --salt=00ff10',
  '--salt=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef',
  '--hash-alg=sha512 --block-size=1024 --salt=ab',
];

const TREE = `each 'mkdir -p tree/usr/bin tree/etc; seq 20000 >tree/usr/bin/program; echo a >tree/etc/file; : >tree/empty'
  each 'chmod 755 tree/usr/bin/program; ln -s usr/bin/program tree/link; ln tree/etc/file tree/etc/again'`;

const same: BootCase[] = [
  {
    name: 'fsverity enable and measure by size',
    expected: 'as the real fsverity',
    script: SIZES.map(
      (size) =>
        `each 'head -c ${size} /dev/zero | tr "\\\\000" x >f'; both fsverity enable f; both fsverity measure f; each rm -f f`,
    ).join('\n'),
    check: (result) => {
      const digests = [...result.stdout.matchAll(/^fsverity measure f: 0 (sha256:[0-9a-f]{64}) f$/gm)];
      expect(new Set(digests.map(([, digest]) => digest)).size).toBe(SIZES.length);
      return `${digests.length} sizes alike`;
    },
  },
  {
    name: 'fsverity enable and measure by option',
    expected: 'as the real fsverity',
    script: OPTIONS.map(
      (options) =>
        `each 'seq 60000 >f'; both fsverity enable ${options} f; both fsverity measure f; each rm -f f`,
    ).join('\n'),
    check: ({ stdout }) => {
      const digests = [...stdout.matchAll(/^fsverity measure f: 0 (sha(?:256|512):[0-9a-f]+) f$/gm)];
      expect(new Set(digests.map(([, digest]) => digest)).size).toBe(OPTIONS.length);
      return `${digests.length} sets of options alike`;
    },
  },
  {
    name: 'fsverity measure agrees with fsverity digest',
    expected: 'the digest the kernel has',
    script: `each 'seq 60000 >f'
      for options in "" "--hash-alg=sha512" "--block-size=1024 --salt=00ff"; do
        cp ours/f ours/g
        (cd ours; /usr/bin/fsverity enable $options g)
        [ "$(cd ours; sealtree fsverity digest $options g)" = "$(cd ours; sealtree fsverity measure g)" ]
        rm -f ours/g
      done`,
    check: () => undefined,
  },
  {
    name: 'fsverity refusals',
    expected: 'as the real fsverity',
    script: `each 'echo data >f; echo other >g; mkdir d; ln -s f link; mkfifo fifo; ln -s nowhere dangling'
      both fsverity enable f
      both fsverity enable f
      both fsverity enable link
      both fsverity measure link
      exec 4>>ours/g 5>>theirs/g
      both fsverity enable g
      exec 4>&- 5>&-
      both fsverity measure g
      both fsverity measure f g
      both fsverity measure g f
      both fsverity enable d
      both fsverity measure d
      both fsverity enable absent
      both fsverity measure absent
      both fsverity enable dangling
      both fsverity enable --block-size=8192 g
      both fsverity enable --block-size=512 g
      both fsverity enable --block-size=3000 g
      both fsverity enable --hash-alg=md5 g
      both fsverity enable --salt=xyz g
      both fsverity enable --salt=${'00'.repeat(33)} g
      both fsverity enable --signature=absent g
      echo nonsense >ours/sig; cp ours/sig theirs/sig
      both fsverity enable --signature=sig g
      chattr +i ours/g theirs/g; both fsverity enable g; chattr -i ours/g theirs/g
      mount -t tmpfs tmpfs ours; mount -t tmpfs tmpfs theirs
      each 'echo data >f'
      both fsverity enable f
      both fsverity measure f
      umount ours theirs
      for side in ours theirs; do
        truncate -s 16M $side.plain; mkfs.ext4 -q -O ^verity $side.plain; mount -o loop $side.plain $side
      done
      each 'echo data >f'
      both fsverity enable f
      both fsverity measure f
      mount -o remount,ro ours; mount -o remount,ro theirs
      both fsverity enable f
      umount ours theirs`,
    check: ({ stdout }) => {
      // Linux, Documentation/filesystems/fsverity.rst: EEXIST, ETXTBSY, EISDIR, EOPNOTSUPP, ENOTTY, ENODATA.
      for (const message of ['File exists', 'Text file busy', 'Is a directory', 'No data available'])
        expect(stdout).toContain(message);
      return `${stdout.trim().split('\n').length} runs alike`;
    },
  },
];

const repositories: BootCase[] = ['composefs true', 'fsverity yes', 'fsverity maybe', 'fsverity no'].map(
  (setting) => ({
    name: `commit with ex-integrity.${setting.replace(' ', '=')}`,
    expected: setting.endsWith('no') ? 'no object with fs-verity' : 'the objects of the real ostree',
    script: `${TREE}
      both ostree init --repo=repo --mode=bare
      each 'ostree --repo=repo config set ex-integrity.${setting}'
      both ostree commit --repo=repo --branch=b --timestamp=@1 --owner-uid=0 --owner-gid=0 tree
      sealed ours/repo/objects >ours.sealed; sealed theirs/repo/objects >theirs.sealed
      diff ours.sealed theirs.sealed
      grep -c '^sha256' ours.sealed || true
      both ostree fsck --repo=repo -q`,
    check: ({ stdout }: { stdout: string }) => {
      const count = Number(/^(\d+)$/m.exec(stdout)?.[1]);
      expect(count > 0).toBe(!setting.endsWith('no'));
      return `${count} objects with fs-verity, as the real one`;
    },
  }),
);

describeGuest('fs-verity', [...same, ...repositories].map(comparing), () => ({
  kernel: '6.12',
  files: { 'both.sh': fileURLToPath(new URL('both.sh', import.meta.url)) },
}));

/** Every difference that `both` met fails the case. */
function comparing(given: BootCase): BootCase {
  return {
    ...given,
    script: `${BOTH}${given.script}\nexit $failed`,
    timeout: given.timeout ?? 120,
    check: (result) => {
      expectOk(result);
      return given.check(result);
    },
  };
}
