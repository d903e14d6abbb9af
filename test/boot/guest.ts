/**
 * A guest that runs many cases: it boots a Debian kernel with a few modules and busybox, mounts the Debian root with
 * this Node, the built tool and the files of the test, runs each case in a mount namespace of its own, and says what
 * each printed and how it ended over the second serial port.
 * @module
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CpioEntry, cpio, fileEntry } from './cpio.ts';
import { runMachine } from './machine.ts';
import { bootCommand, bootRoot, type Kernel, kernelFiles, rootDisk } from './root.ts';

export interface GuestCase {
  readonly name: string;
  /** Shell lines, run with `set -eu` as root in the Debian root, in /tmp/case, an empty directory of its own. */
  readonly script: string;
  /** Seconds until the case is killed; default 60. */
  readonly timeout?: number;
}

export interface CaseResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
  readonly seconds: number;
}

export interface Guest {
  readonly kernel: Kernel;
  readonly cases: readonly GuestCase[];
  /** Shell lines, run once before the cases, whose mounts all cases see. A failure ends the guest. */
  readonly before?: string;
  /** Files for the guest: name below /payload → path on the host, of a file or directory. */
  readonly files?: Readonly<Record<string, string>>;
  /** Size in MiB of an empty ext4 with fs-verity, mounted at /disk; default 1024. */
  readonly disk?: number;
  /** Seconds for all of it; default 300. */
  readonly timeout?: number;
  readonly append?: string;
}

/** What the modules are needed for, in the order in which they are loaded; a kernel may have them built in. */
const MODULES = [
  'virtio',
  'virtio_ring',
  'virtio_pci_legacy_dev',
  'virtio_pci_modern_dev',
  'virtio_pci',
  'virtio_blk',
  'overlay',
  'crc32c_generic',
  'crc16',
  'mbcache',
  'jbd2',
  'ext4',
];
const LATER_MODULES = ['erofs', 'loop', 'fuse'];

const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /dev /lower /over /root
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*.ko; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t ext4 -o ro /dev/vda /lower
/bin/busybox mount -t tmpfs -o size=75% tmpfs /over
/bin/busybox mkdir /over/upper /over/work
/bin/busybox mount -t overlay -o lowerdir=/lower,upperdir=/over/upper,workdir=/over/work overlay /root
/bin/busybox mount -t ext4 -o ro /dev/vdb /root/payload
exec /bin/busybox switch_root /root /bin/sh /payload/run
`;

const RUN = `
export PATH=/payload/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root LANG=C.UTF-8 TZ=UTC
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /disk
for module in ${LATER_MODULES.join(' ')}; do modprobe -q "$module"; done
[ ! -b /dev/vdc ] || mount -t ext4 /dev/vdc /disk
stty -F /dev/ttyS1 raw -echo
exec 3>/dev/ttyS1
report() { printf '%s %s %s %s %s\\n' "$1" "$2" "$3" "$(base64 -w 0 "$4")" "$(base64 -w 0 "$5")" >&3; }
now() { cut -d ' ' -f 1 /proc/uptime; }
finish() { exec 3>&-; sync; echo o >/proc/sysrq-trigger; sleep 60; }
cd /
: >/tmp/out
sh -eu /payload/before >/tmp/out 2>/tmp/err </dev/null
status=$?
report before $status "0 $(now)" /tmp/out /tmp/err
[ $status = 0 ] || finish
for case in /payload/cases/*; do
  name=\${case##*/}
  echo "== $name" >/dev/kmsg
  start=$(now)
  mkdir -p /tmp/case
  timeout --signal=KILL "$(cat "$case/timeout")" unshare --mount --propagation private \\
    sh -c 'cd /tmp/case; exec sh -eu "$0"' "$case/script" >/tmp/out 2>/tmp/err </dev/null 3>&-
  report "$name" $? "$start $(now)" /tmp/out /tmp/err
  rm -rf /tmp/case
done
finish
`;

/** Boots the guest and runs its cases. @returns what each case did, by its name @throws with the end of the console */
export async function runGuest(guest: Guest): Promise<Map<string, CaseResult>> {
  const folder = mkdtempSync(join(tmpdir(), 'sealtree-guest-'));
  try {
    const files = kernelFiles(guest.kernel);
    const initrd = join(folder, 'initrd');
    writeFileSync(initrd, guestInitrd(files.modules));
    const payload = join(folder, 'payload');
    makePayload(payload, guest);
    const disks = [
      { path: rootDisk(), readonly: true as const },
      { path: makeDisk(join(folder, 'payload.ext4'), { tree: payload }), readonly: true as const },
      { path: makeDisk(join(folder, 'disk.ext4'), { size: guest.disk ?? 1024, features: 'verity' }) },
    ];
    const stopped = await runMachine({
      kernel: files.vmlinux,
      initrd,
      append: `console=ttyS0 panic=-1 loglevel=4 no_timer_check ${guest.append ?? ''}`,
      disks,
      folder,
      timeout: (guest.timeout ?? 300) * 1000,
    });
    const results = readReport(stopped.report, guest.cases);
    const before = results.get('before');
    const lost = guest.cases.filter(({ name }) => !results.has(name));
    if (before?.status !== 0 || lost.length > 0) {
      const end = stopped.console.split('\n').slice(-40).join('\n');
      throw new Error(
        [
          `the guest with kernel ${guest.kernel} ${stopped.timedOut ? 'was stopped' : 'ended'} after ${stopped.seconds.toFixed(0)} s`,
          before === undefined
            ? 'and did not start'
            : `its preparation ended with ${before.status}: ${before.stderr}`,
          lost.length > 0 ? `no result of: ${lost.map(({ name }) => name).join(', ')}` : '',
          stopped.complaint,
          end,
        ].join('\n'),
      );
    }
    return results;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An ext4 file system in a file: of a tree, or empty with a size in MiB. @returns the path */
export function makeDisk(
  path: string,
  { tree, size, features }: { tree?: string; size?: number; features?: string },
): string {
  const megabytes = size ?? Math.ceil(Number(output(['du', '-sm', tree ?? '']).split('\t')[0]) * 1.25) + 16;
  writeFileSync(path, '');
  truncateSync(path, megabytes * 1024 * 1024);
  const options = ['-q', '-F', '-b', '4096', '-m', '0', ...(features === undefined ? [] : ['-O', features])];
  const source = tree === undefined ? [] : ['-d', tree];
  output(bootCommand('mkfs.ext4', [...options, ...source, path]) as string[]);
  return path;
}

function guestInitrd(modules: string): Uint8Array {
  const root = bootRoot() as string;
  const entries: CpioEntry[] = [
    fileEntry('bin/busybox', join(root, 'usr/bin/busybox')),
    { name: 'init', mode: 0o100755, data: INIT },
  ];
  const found = new Map(
    output(['find', modules, '-name', '*.ko*'])
      .split('\n')
      .map((path) => [/([^/]*)\.ko/.exec(path)?.[1]?.replaceAll('-', '_') ?? '', path]),
  );
  for (const [index, name] of MODULES.entries()) {
    const path = found.get(name);
    if (path === undefined) continue;
    const data = path.endsWith('.xz')
      ? bytes(bootCommand('xz', ['-dc', path]) as string[])
      : bytes(['cat', path]);
    entries.push({ name: `modules/${String(index).padStart(2, '0')}-${name}.ko`, mode: 0o100644, data });
  }
  return cpio(entries);
}

/** Puts the built tool into a folder, with the packages it runs with and the scripts. */
export function copyTool(folder: string): void {
  const clone = fileURLToPath(new URL('../..', import.meta.url));
  mkdirSync(join(folder, 'node_modules'), { recursive: true });
  const names = packages(clone).map((name) => join('node_modules', name));
  for (const name of ['package.json', 'dist', 'scripts', 'conf', ...names])
    cpSync(join(clone, name), join(folder, name), { recursive: true, dereference: true });
}

/** The built tool, the scripts, and the files of the test. */
function makePayload(folder: string, guest: Guest): void {
  copyTool(join(folder, 'sealtree'));
  mkdirSync(join(folder, 'bin'));
  const program = '#!/bin/sh\nexec node /payload/sealtree/dist/sealtree.js "$@"\n';
  writeFileSync(join(folder, 'bin/sealtree'), program, { mode: 0o755 });
  mkdirSync(join(folder, 'ours'));
  for (const name of ['ostree', 'mkcomposefs', 'composefs-info', 'fsverity', 'mount.composefs'])
    symlinkSync('/payload/sealtree/dist/sealtree.js', join(folder, 'ours', name));
  for (const [name, path] of Object.entries(guest.files ?? {}))
    cpSync(path, join(folder, name), { recursive: true, verbatimSymlinks: true });
  for (const [index, { script, timeout }] of guest.cases.entries()) {
    const place = join(folder, 'cases', caseFolder(index));
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'script'), script);
    writeFileSync(join(place, 'timeout'), `${timeout ?? 60}\n`);
  }
  writeFileSync(join(folder, 'before'), guest.before ?? '');
  writeFileSync(join(folder, 'run'), RUN);
}

function caseFolder(index: number): string {
  return String(index).padStart(4, '0');
}

function readReport(report: string, cases: readonly GuestCase[]): Map<string, CaseResult> {
  const names = new Map(cases.map(({ name }, index) => [caseFolder(index), name]));
  const results = new Map<string, CaseResult>();
  for (const line of report.split('\n').slice(0, -1)) {
    const [folder, status, start, end, stdout, stderr] = line.split(' ') as [string, ...string[]];
    const decoded = (text = '') => Buffer.from(text, 'base64').toString('latin1');
    results.set(names.get(folder) ?? folder, {
      stdout: decoded(stdout),
      stderr: decoded(stderr),
      status: Number(status),
      seconds: Number(end) - Number(start),
    });
  }
  return results;
}

/** The packages that the tool and the tour run with, and those that they need. */
function packages(clone: string): string[] {
  const found = new Set<string>();
  const wanted = ['koffi', 'commander', 'execa', 'ini', '@noble/ed25519', '@noble/hashes'];
  for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
    if (found.has(name)) continue;
    const manifest = readJson(join(clone, 'node_modules', name, 'package.json'));
    if (manifest === undefined) continue;
    found.add(name);
    wanted.push(...Object.keys(manifest.dependencies ?? {}));
    wanted.push(...Object.keys(manifest.optionalDependencies ?? {}));
  }
  return [...found];
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

function readJson(path: string): Manifest | undefined {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
}

function output(command: readonly string[]): string {
  return bytes(command).toString('latin1');
}

function bytes([program, ...args]: readonly string[]): Buffer {
  const ran = spawnSync(program as string, args, { maxBuffer: Number.POSITIVE_INFINITY });
  if (ran.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${ran.error?.message ?? ran.stderr}`);
  return ran.stdout;
}
