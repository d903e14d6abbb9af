/** Images that no generator writes, unpacked by a kernel and by `initramfs inspect`: the same files come of them. @module */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect } from 'vitest';
import { unpack } from '../../src/initramfs/archives.ts';
import { decompress } from '../../src/initramfs/decompress.ts';
import { gzip, listing, member, padded, TRAILER } from '../initramfs/newc.ts';
import { requires } from '../requires.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';
import { cpio, fileEntry } from './cpio.ts';
import { runMachine } from './machine.ts';
import { bootRoot, kernelFiles } from './root.ts';

const { it } = requires({ root: true, boot: true });

const GROUPS = 400;
const SEED = 20261121;
/** What the guest brings along, or the kernel makes. */
const NOT_ASKED = ['/bin', '/dev', '/init', '/root'];

const INIT = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
exec >/dev/ttyS1
prune='${NOT_ASKED.map((path) => `-path ${path}`).join(' -o ')}'
find() { /bin/busybox find / -xdev '(' $prune ')' -prune -o "$@"; }
find -type d -print | /bin/busybox sed 's|$|/|'
find -type l -exec /bin/busybox sh -c 'for f; do echo "$f -> $(/bin/busybox readlink "$f")"; done' sh {} +
find -type f -exec /bin/busybox sh -c 'for f; do echo "$f: $(/bin/busybox cat "$f")"; done' sh {} +
find ! -type d ! -type l ! -type f -print | /bin/busybox sed 's|$| (other)|'
echo end
/bin/busybox poweroff -f
`;

/** Names meet each other within a group, and sometimes beyond it. */
function groupOf(index: number): fc.Arbitrary<Buffer[]> {
  const own = `g${index}`;
  const part = fc.constantFrom('a', 'b', 'c', 'a', 'b', '.', '..', '');
  const path = fc
    .tuple(fc.array(part, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '', '', '/', './'))
    .map(([parts, front]) => `${front}${own}/${parts.join('/')}`);
  const target = fc.oneof(
    path.map((text) => `/${text}`),
    fc.constantFrom('a', 'b', './c', '../', '../../g0/a', 'a/b'),
  );
  const link = fc.record({ inode: fc.nat(3), nlink: fc.nat(2) });
  const one = fc.oneof(
    fc.tuple(path, link).map(([name, fields]) => member(name, '', { mode: 0o40755, ...fields })),
    fc
      .tuple(path, link, fc.constantFrom('', '', 'x', 'some text'))
      .map(([name, fields, data]) => member(name, data, fields)),
    fc.tuple(path, target).map(([name, to]) => member(name, to, { mode: 0o120777 })),
    fc.tuple(path, link).map(([name, fields]) => member(name, '', { mode: 0o10644, ...fields })),
    fc.constant(TRAILER),
    fc.constant(Buffer.alloc(8)),
  );
  return fc
    .array(one, { minLength: 2, maxLength: 12 })
    .map((members) => [member(own, '', { mode: 0o40755, inode: 99 }), ...members]);
}

it('what a kernel makes of members in any order is what inspect sees', async () => {
  const busybox = join(bootRoot() as string, 'usr/bin/busybox');
  const base = cpio([
    fileEntry('bin/busybox', busybox),
    { name: 'init', mode: 0o100755, data: INIT },
    { name: 'dev', mode: 0o40755 },
  ]);
  const groups = Array.from({ length: GROUPS }, (_, index) =>
    Buffer.concat(fc.sample(groupOf(index), { numRuns: 1, seed: SEED + index })[0] as Buffer[]),
  );
  const half = GROUPS / 2;
  const image = Buffer.concat([
    padded(base, 512),
    gzip(...groups.slice(0, half)),
    Buffer.alloc(3),
    padded(gzip(...groups.slice(half))),
  ]);
  const folder = scratchDirectory('unpack');
  try {
    mkdirSync(folder, { recursive: true });
    const initrd = join(folder, 'initrd');
    writeFileSync(initrd, image);
    const { report, console: shown } = await runMachine({
      kernel: kernelFiles('testing').vmlinux,
      initrd,
      append: 'console=ttyS0',
      disks: [],
      folder,
      timeout: 300_000,
      memory: 512,
    });
    const lines = report.replaceAll('\r', '').split('\n');
    if (!lines.includes('end')) throw new Error(`the guest did not come to its end:\n${shown.slice(-3000)}`);
    expect(shown.match(/Initramfs unpacking failed.*/)?.[0]).toBeUndefined();
    const isAsked = (line: string) =>
      !NOT_ASKED.some(
        (path) => line === `${path}/` || line.startsWith(`${path}/`) || line.startsWith(`${path}:`),
      );
    const kernel = lines.filter((line) => line !== '' && line !== 'end' && line !== '//').sort();
    const ours = listing(unpack(image, decompress).root).filter(isAsked).sort();
    expect(ours.length).toBeGreaterThan(GROUPS);
    expect(ours).toEqual(kernel);
  } finally {
    removeDirectory(folder);
  }
});
