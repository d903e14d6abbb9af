/**
 * Devices that `verity format` made under a kernel with dm-verity: opened, mounted and read, with a changed byte that is
 * an I/O error on exactly the block that it is in, and one that the kernel puts right by the parity.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { vectorBytes } from '../core/verity/vector-bytes.ts';
import { peersRoot, realCommand } from '../peers.ts';
import { expectSuccess, sealtree } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';
import { type BootCase, describeGuest, expectOk } from './cases.ts';

/** The distribution's veritysetup, which the guest's root has not. */
const BEFORE = `modprobe dm-verity
  cat >/usr/local/sbin/veritysetup <<'END'
#!/bin/sh
payload=/payload/veritysetup
exec $payload/loader --argv0 veritysetup --library-path $payload/lib $payload/program "$@"
END
  chmod +x /usr/local/sbin/veritysetup
  mkdir /disk/tree /disk/tree/below; seq 20000 >/disk/tree/below/large; echo text >/disk/tree/small
  cd /disk; mkfs.ext4 -q -b 4096 -O ^has_journal -d tree d 16M
  sealtree verity format d h --root-hash-file=r --fec-device=f --fec-roots=4 >/dev/null`;

const DEVICE = `cp /disk/d /disk/h /disk/r /disk/f .; mkdir mnt
  opened() { veritysetup open "$PWD/d" name "$PWD/h" --root-hash-file="$PWD/r" "$@"; }
  flip() { printf X | dd of=d bs=1 seek="$(grep -abo '^15000$' d | cut -d : -f 1)" conv=notrunc 2>/dev/null; }
  trap 'umount mnt 2>/dev/null || true; veritysetup close name 2>/dev/null || true' EXIT`;

const SHAPES = [
  ['--salt=-'],
  ['--hash=sha512', '--salt=00ff'],
  ['--hash=sha1', '--format=0'],
  ['--data-block-size=1024', '--hash-block-size=1024'],
  ['--hash-block-size=512', '--hash-offset=8192'],
  ['--no-superblock', '--salt=0011', '--data-blocks=70'],
];

const cases: BootCase[] = [
  {
    name: 'verity open, status, close',
    expected: 'the tree that was hashed',
    script: `${DEVICE}; sealtree verity open "$PWD/d" name "$PWD/h" --root-hash-file=r
      mount -o ro /dev/mapper/name mnt; diff -r /disk/tree mnt | grep -v lost+found || true
      sealtree verity status name >ours; veritysetup status name >theirs; cmp ours theirs
      grep -E 'status:|root hash:' ours; cat r
      umount mnt; sealtree verity close name; [ ! -e /dev/mapper/name ]`,
    check(result) {
      expectOk(result);
      const [, root] = /root hash: +([0-9a-f]{64})\n\1$/.exec(result.stdout) ?? [];
      expect(root).toBeDefined();
      expect(result.stdout).toMatch(/status: +verified/);
      return 'every file alike; verified';
    },
  },
  {
    name: 'a byte that was changed',
    expected: 'an error for its block alone, and its file named',
    script: `${DEVICE}; flip; opened
      mount -o ro /dev/mapper/name mnt; cat mnt/small
      blocks=$((($(stat -c %s mnt/below/large) + 4095) / 4096))
      for i in $(seq 0 $((blocks - 1))); do
        dd if=mnt/below/large bs=4096 skip="$i" count=1 of=/dev/null 2>error || { echo "block $i"; grep -o 'Input/output error' error; }
      done
      echo "expected $(grep -bo '^15000$' /disk/tree/below/large | cut -d : -f 1)"
      veritysetup status name | grep status:
      sealtree verity verify "$PWD/d" "$PWD/h" --root-hash-file="$PWD/r" 2>&1 || echo "verify $?"`,
    check(result) {
      expect(result.stderr).toBe('');
      const [, offset] = /^expected (\d+)$/m.exec(result.stdout) ?? [];
      const block = Math.floor(Number(offset) / 4096);
      expect(
        [...result.stdout.matchAll(/^block (\d+)\nInput\/output error$/gm)].map(([, i]) => Number(i)),
      ).toEqual([block]);
      expect(result.stdout).toMatch(/^text$/m);
      expect(result.stdout).toMatch(/status: +corrupted/);
      expect(result.stdout).toMatch(/belong to \/below\/large of its ext4 file system\nverify 2\n$/);
      return `EIO for block ${block} of 27, and no other`;
    },
  },
  {
    name: 'a byte that was changed, with parity',
    expected: 'the byte as it was',
    script: `${DEVICE}; flip; opened --fec-device="$PWD/f" --fec-roots=4
      mount -o ro /dev/mapper/name mnt; cmp mnt/below/large /disk/tree/below/large
      veritysetup status name | grep status:`,
    check(result) {
      expectOk(result);
      expect(result.stdout).toMatch(/status: +verified/);
      return 'repaired by the kernel';
    },
  },
  {
    name: 'trees of other shapes',
    expected: 'the kernel reads all data by them',
    script: `for shape in /payload/shapes/*; do
        veritysetup open "$shape/d" name "$shape/h" --root-hash-file="$shape/r" $(cat "$shape/options")
        head -c "$(blockdev --getsize64 /dev/mapper/name)" "$shape/d" | cmp - /dev/mapper/name
        veritysetup close name; cat "$shape/options"; echo
      done`,
    check(result) {
      expectOk(result);
      expect(result.stdout.split('\n').slice(0, -1)).toEqual(SHAPES.map((shape) => shape.join(' ')));
      return `${SHAPES.length} shapes`;
    },
  },
  {
    name: 'verity open with a wrong root hash',
    expected: 'a refusal before anything is opened',
    script: `${DEVICE}; wrong=$(tr 0-9a-f 1-9a-f0 <r)
      sealtree verity open "$PWD/d" name "$PWD/h" "$wrong" 2>&1 || echo "status $?"
      [ ! -e /dev/mapper/name ]`,
    check(result) {
      expectOk(result);
      expect(result.stdout).toBe('Verification of root hash failed.\nstatus 1\n');
      return undefined;
    },
  },
];

const scratch = scratchDirectory('boot-verity');
afterAll(() => removeDirectory(scratch));

describeGuest('dm-verity', cases, () => ({
  kernel: '6.12',
  before: BEFORE,
  disk: 256,
  files: { ...veritysetupFiles(), shapes: makeShapes() },
}));

/** A device of each shape, with the options that it is opened with. */
function makeShapes(): string {
  const folder = join(scratch, 'shapes');
  for (const [i, options] of SHAPES.entries()) {
    const shape = join(folder, String(i));
    mkdirSync(shape, { recursive: true });
    writeFileSync(join(shape, 'd'), vectorBytes(300_000));
    writeFileSync(join(shape, 'options'), options.join(' '));
    const words = ['verity', 'format', 'd', 'h', '--root-hash-file=r', ...options];
    expectSuccess(sealtree(words, { cwd: shape }), words);
  }
  return folder;
}

/** The program with its loader and libraries, from the root with the real tools. */
function veritysetupFiles(): Record<string, string> {
  const root = peersRoot();
  if (root === undefined) throw new Error('no real veritysetup');
  const [loader = '', ...words] = realCommand('veritysetup', []) as string[];
  const program = words.at(-1) as string;
  const { stdout } = spawnSync(
    loader,
    [...words.slice(0, -1), '--list', program].filter((word) => word !== '--argv0' && word !== 'veritysetup'),
    {
      encoding: 'utf8',
    },
  );
  const libraries = [...stdout.matchAll(/=> (\S+)/g)].map(([, path]) => path as string);
  return {
    'veritysetup/loader': realpathSync(loader),
    'veritysetup/program': program,
    ...Object.fromEntries(
      libraries.map((path) => [join('veritysetup/lib', basename(path)), realpathSync(path)]),
    ),
  };
}
