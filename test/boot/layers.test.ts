/**
 * Layers under a kernel with dm-verity: attached by the real veritysetup, mounted, every file compared, and one changed byte
 * refused where it is read and nowhere else.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, expect } from 'vitest';
import { rootCommand } from '../debian.ts';
import { peersRoot, whyNoPeers } from '../peers.ts';
import { run, sealtree } from '../run.ts';
import { type BootCase, describeGuest, expectOk } from './cases.ts';

const work = mkdtempSync(join(tmpdir(), 'sealtree-layers-'));
afterAll(() => rmSync(work, { recursive: true }));

/** What every entry is, and what is in it; without what ext4 adds. */
const LIST = `find . -path ./lost+found -prune -o -printf '%P %y %m %U %G %T@ %l\\n' | sort
find . -type f -printf '%P %s\\n' | sort
find . -type f -exec sha256sum {} + | sort -k 2`;

const OPEN = `modprobe dm-verity
export LD_LIBRARY_PATH=/payload/lib
open() { /payload/lib/veritysetup open "$@"; }
mkdir mnt`;

const cases: BootCase[] = [
  {
    name: 'a layer in one disk',
    expected: 'every file as in the archive',
    script: `${OPEN}
      open /payload/layer.vhd one /payload/layer.vhd "$(cat /payload/root)" --hash-offset=$(cat /payload/offset)
      mount -t ext4 -o ro /dev/mapper/one mnt
      cd mnt; unset LD_LIBRARY_PATH; { ${LIST}; } >../found; cd ..
      diff found /payload/expected
      wc -l <found
      umount mnt; LD_LIBRARY_PATH=/payload/lib /payload/lib/veritysetup close one`,
    check: (result) => {
      expectOk(result);
      expect(Number(result.stdout)).toBeGreaterThan(300);
      return `${result.stdout.trim()} lines alike`;
    },
  },
  {
    name: 'a layer with a disk for its hashes',
    expected: 'the same files',
    script: `${OPEN}
      open /payload/data.vhd two /payload/hash.vhd "$(cat /payload/root)"
      mount -t ext4 -o ro /dev/mapper/two mnt
      cd mnt; unset LD_LIBRARY_PATH; { ${LIST}; } >../found; cd ..
      diff found /payload/expected
      umount mnt; LD_LIBRARY_PATH=/payload/lib /payload/lib/veritysetup close two`,
    check: (result) => {
      expectOk(result);
      return undefined;
    },
  },
  {
    name: 'one changed byte',
    expected: 'an error for its block, and for no other',
    script: `${OPEN}
      open /payload/changed.vhd three /payload/changed.vhd "$(cat /payload/root)" --hash-offset=$(cat /payload/offset)
      mount -t ext4 -o ro /dev/mapper/three mnt
      unset LD_LIBRARY_PATH
      for block in 0 1 2 3 4 5 6 7; do
        if dd if=mnt/big of=/dev/null bs=4096 count=1 skip=$block iflag=direct 2>/dev/null; then echo good $block; else echo bad $block; fi
      done
      cd mnt; find . -path ./lost+found -prune -o -type f ! -name big -exec sha256sum {} + | sort -k 2 >../found; cd ..
      grep -F -x -f found /payload/expected | wc -l
      wc -l <found
      umount mnt; LD_LIBRARY_PATH=/payload/lib /payload/lib/veritysetup close three`,
    check: (result) => {
      expect(result.status, result.stderr).toBe(0);
      const [same, all, ...blocks] = result.stdout.trim().split('\n').reverse();
      expect(same).toBe(all);
      expect(blocks.reverse()).toEqual(
        [0, 1, 2, 3, 4, 5, 6, 7].map((block) => `${block === 5 ? 'bad' : 'good'} ${block}`),
      );
      return `block 5 of 8 refused, ${all} other files right`;
    },
  },
  {
    name: 'another root hash',
    expected: 'no mount',
    script: `${OPEN}
      open /payload/layer.vhd four /payload/layer.vhd ${'0'.repeat(64)} --hash-offset=$(cat /payload/offset)
      [ -b /dev/mapper/four ]
      ! mount -t ext4 -o ro /dev/mapper/four mnt 2>/dev/null`,
    check: ({ status }) => {
      expect(status).toBe(0);
      return undefined;
    },
  },
];

describeGuest('layers', cases, () => {
  const root = peersRoot();
  if (root === undefined) throw new Error(whyNoPeers());
  makeTree(`${work}/tree`);
  execFileSync('tar', [
    '--numeric-owner',
    '--format=posix',
    '--pax-option=delete=atime,delete=ctime',
    '-C',
    `${work}/tree`,
    '-cf',
    `${work}/layer.tar`,
    '.',
  ]);
  writeFileSync(
    `${work}/expected`,
    execFileSync('sh', ['-c', LIST], {
      cwd: `${work}/tree`,
      env: { ...process.env, LANG: 'C.UTF-8', TZ: 'UTC' },
    }),
  );
  const rootHash = ok(['layer', 'hash', 'layer.tar']).trim();
  writeFileSync(`${work}/root`, rootHash);
  ok(['layer', 'create', '--dir=layer.tar', '--out-dir=.']);
  ok(['layer', 'create', '--dir=layer.tar', '--out-dir=apart', '--hash-dev-vhd']);
  const disk = readFileSync(`${work}/layer.vhd`);
  writeFileSync(`${work}/offset`, String(disk.readUInt32LE(1024 + 4) * 4096));
  const at = disk.indexOf(BIG.subarray(5 * 4096, 6 * 4096)) + 1234;
  disk[at] = 1 ^ (disk[at] as number);
  writeFileSync(`${work}/changed.vhd`, disk);
  copyVeritysetup(root);
  return {
    kernel: '6.12',
    files: {
      lib: `${work}/lib`,
      root: `${work}/root`,
      offset: `${work}/offset`,
      expected: `${work}/expected`,
      'layer.vhd': `${work}/layer.vhd`,
      'changed.vhd': `${work}/changed.vhd`,
      'data.vhd': `${work}/apart/layer.vhd`,
      'hash.vhd': `${work}/apart/layer.hash-dev.vhd`,
    },
  };
});

/** Blocks of which each differs from all others. */
const BIG = Buffer.from(
  Array.from({ length: 8 * 1024 }, (_, i) => `${i}`.padStart(4, '.').slice(-4)).join(''),
  'latin1',
);

function makeTree(folder: string): void {
  mkdirSync(folder);
  writeFileSync(`${folder}/big`, BIG);
  execFileSync(
    'sh',
    [
      '-euc',
      `
    mkdir -p usr/bin usr/lib etc empty; chmod 1777 empty; chown 12:70000 etc
    seq 200 | while read i; do seq $i $((i * 7)) >usr/lib/file$i; done
    : >etc/nothing; echo text >etc/text; chmod 4755 etc/text; ln etc/text etc/again
    ln -s ../etc/text usr/bin/link; ln -s /${'long/'.repeat(20)}end usr/bin/far
    mkfifo etc/fifo; mknod etc/null c 1 3; mknod etc/block b 259 300
    find . -exec touch -h -d @1700000000.25 {} +`,
    ],
    { cwd: folder },
  );
}

/** The real one with its libraries, but for those that every program of the guest has. */
function copyVeritysetup(root: string): void {
  mkdirSync(`${work}/lib`);
  const [loader = '', ...command] = rootCommand(root, 'veritysetup', []);
  const listed = run([loader, '--list', ...command]);
  expect(listed.status, listed.stderr).toBe(0);
  const libraries = [...listed.stdout.matchAll(/=> (\S+)/g)].map(([, path]) => path as string);
  for (const path of [join(root, 'usr/sbin/veritysetup'), ...libraries]) {
    if (!/\/lib(?:c|m)\.so/.test(path)) copyFileSync(path, join(work, 'lib', basename(path)));
  }
}

function ok(args: string[]): string {
  const { stdout, stderr, status } = sealtree(args, { cwd: work });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return stdout;
}
