/**
 * A boot without a machine: a mount namespace with an initramfs in it (memory with configuration, keys and program, and
 * the disk at /sysroot), the program run there, and what it left behind. Nothing of it outlives the call.
 * @module
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Ran, run } from '../run.ts';

const VECTORS = fileURLToPath(new URL('../vectors/ostree/', import.meta.url));

/** The program's path in an initramfs. */
export const PROGRAM = '/usr/lib/ostree/ostree-prepare-root';

export interface Boot {
  /** Path of the executable. */
  readonly program: string;
  /** Root of a Debian whose libraries the program needs. */
  readonly libraries?: string;
  /** The disk, as a directory. */
  readonly disk: string;
  /** Content of files in the initramfs, by path. */
  readonly files?: Readonly<Record<string, string>>;
  /** The kernel's command line; by default it names the deployment of the disk's boot entry. */
  readonly cmdline?: string;
  /** Shell lines that run before the program; $R is the initramfs. */
  readonly before?: string;
  /** Shell lines that run behind it; their output is `after`. */
  readonly after?: string;
  /** Whether the disk is mounted read-only. */
  readonly readonly?: boolean;
  /** Whether the root is a directory of this host in place of memory. */
  readonly onDisk?: boolean;
  /** Whether there is a journal to write to; needs perl. */
  readonly journal?: boolean;
}

export interface Booted extends Ran {
  /** Lines of mountinfo at and below /sysroot: device, root, path, options and what follows; names made up masked. */
  readonly mounts: readonly string[];
  /** /run/ostree-booted with device and inode masked; undefined if there is none. */
  readonly booted: string | undefined;
  /** Everything below /run: path, mode, size and target. */
  readonly run: readonly string[];
  /** Lines of the kernel's log, each with its priority in front. */
  readonly log: readonly string[];
  /** Entries of the journal, by field. */
  readonly journal: readonly Readonly<Record<string, string>>[];
  readonly after: string;
  /** From the start of chroot, which becomes the program, to its end. */
  readonly microseconds: number;
}

/** A disk that the real ostree deployed to; its prepare-root.conf says `yes` or `signed`, by key a. */
export function deployedDisk(directory: string, name: 'yes' | 'signed'): string {
  const unpacked = run([
    'tar',
    '--extract',
    '--same-permissions',
    `--directory=${directory}`,
    `--file=${VECTORS}deploy/sysroot-${name}.tar.gz`,
  ]);
  if (unpacked.status !== 0) throw new Error(unpacked.stderr);
  return join(directory, name);
}

/** The `ostree=` of the disk's boot entry. */
export function ostreeArgument(disk: string): string {
  const folder = join(disk, 'boot/loader/entries');
  const [entry] = readdirSync(folder).sort();
  const found = /ostree=\S+/.exec(readFileSync(join(folder, entry as string), 'utf8'))?.[0];
  if (found === undefined) throw new Error(`no ostree= in ${folder}`);
  return found;
}

const SCRIPT = `
  set -eu
  R=$WORK/root
  if [ -n "$ONDISK" ]; then mount --bind "$R" "$R"; else mount -t tmpfs tmpfs "$R"; fi
  cp -a "$WORK/files/." "$R/"
  cd "$R"
  mkdir -p usr/lib/ostree usr/lib64 usr/lib/x86_64-linux-gnu usr/lib/aarch64-linux-gnu run sysroot proc dev sys
  ln -s usr/lib lib; ln -s usr/lib64 lib64
  cp "$EXECUTABLE" usr/lib/ostree/ostree-prepare-root
  if [ -n "$LIBRARIES" ]; then
    for folder in usr/lib64 usr/lib/x86_64-linux-gnu usr/lib/aarch64-linux-gnu; do
      [ ! -d "$LIBRARIES/$folder" ] || mount --bind "$LIBRARIES/$folder" "$folder"
    done
  fi
  mount -t proc proc proc
  mount -t tmpfs tmpfs run
  for device in null loop-control; do [ ! -e /dev/$device ] || cp -a /dev/$device dev/; done
  mount --bind "$DISK" sysroot
  [ -z "$READONLY" ] || mount -o remount,bind,ro sysroot
  mkfifo dev/kmsg
  exec 8<>dev/kmsg
  # Each listens until it hears the word END.
  sed --unbuffered '/^END$/Q' <&8 >"$WORK/log" & listeners=$!
  if [ -n "$JOURNAL" ]; then
    mkdir -p run/systemd/journal
    perl -MSocket -e '
      socket(my $journal, AF_UNIX, SOCK_DGRAM, 0) or die;
      bind($journal, sockaddr_un("run/systemd/journal/socket")) or die;
      open(my $out, ">", "$ENV{WORK}/ready") or die;
      close($out);
      $| = 1;
      while (defined recv($journal, my $entry, 1 << 20, 0)) {
        exit if $entry eq "END";
        print length($entry), "\\n", $entry;
      }' >"$WORK/journal" &
    listeners="$listeners $!"
    while [ ! -e "$WORK/ready" ]; do sleep 0.01; done
  fi
  eval "$BEFORE"
  cd /
  status=0
  began=$EPOCHREALTIME
  chroot "$R" ${PROGRAM} /sysroot "$CMDLINE" >"$WORK/stdout" 2>"$WORK/stderr" || status=$?
  ended=$EPOCHREALTIME
  echo $((\${ended/./} - \${began/./})) >"$WORK/microseconds"
  echo $status >"$WORK/status"
  cat /proc/self/mountinfo >"$WORK/mountinfo"
  [ ! -e "$R/run/ostree-booted" ] || cp "$R/run/ostree-booted" "$WORK/booted"
  find "$R/run" -mindepth 1 -type d -printf '%P %M\\n' -o -mindepth 1 -printf '%P %M %s %l\\n' | LC_ALL=C sort >"$WORK/run"
  eval "$AFTER" >"$WORK/after" 2>&1
  echo END >&8
  [ -z "$JOURNAL" ] || perl -MSocket -e '
    socket(my $journal, AF_UNIX, SOCK_DGRAM, 0) or die;
    send($journal, "END", 0, sockaddr_un("$ENV{WORK}/root/run/systemd/journal/socket")) or die'
  wait $listeners`;

/** Boots. */
export function boot({ program, libraries, disk, files = {}, ...rest }: Boot): Booted {
  const work = mkdtempSync(join(tmpdir(), 'sealtree-boot-'));
  try {
    mkdirSync(join(work, 'root'));
    mkdirSync(join(work, 'files'));
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(work, 'files', path)), { recursive: true });
      writeFileSync(join(work, 'files', path), content);
    }
    const { cmdline = `root=x rw ${ostreeArgument(disk)}`, before = '', after = '' } = rest;
    const harness = run(['unshare', '--mount', '--propagation', 'private', 'bash', '-c', SCRIPT], {
      env: {
        WORK: work,
        EXECUTABLE: program,
        LIBRARIES: libraries ?? '',
        DISK: disk,
        CMDLINE: cmdline,
        BEFORE: before,
        AFTER: after,
        READONLY: rest.readonly === true ? '1' : '',
        ONDISK: rest.onDisk === true ? '1' : '',
        JOURNAL: rest.journal === true ? '1' : '',
      },
    });
    const read = (name: string) => readFileSync(join(work, name), 'latin1');
    if (harness.status !== 0) throw new Error(`the initramfs failed: ${harness.stderr}`);
    const booted = readdirSync(work).includes('booted') ? read('booted') : undefined;
    return {
      stdout: read('stdout') as Ran['stdout'],
      stderr: read('stderr') as Ran['stderr'],
      status: Number(read('status')),
      signal: null,
      mounts: mountsIn(read('mountinfo'), join(work, 'root')).map(masked),
      booted: booted === undefined ? undefined : withoutInode(masked(booted)),
      run: read('run').trimEnd().split('\n').map(masked),
      log: read('log').trimEnd().split('\n'),
      journal: rest.journal === true ? journalEntries(readFileSync(join(work, 'journal'))) : [],
      after: read('after'),
      microseconds: Number(read('microseconds')),
    };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Each with its length in front, in the journal's own format. */
function journalEntries(data: Buffer): Record<string, string>[] {
  const entries: Record<string, string>[] = [];
  for (let at = 0; at < data.length; ) {
    const start = data.indexOf('\n', at) + 1;
    const end = start + Number(data.toString('latin1', at, start - 1));
    const fields: Record<string, string> = {};
    for (let field = start; field < end; ) {
      const line = data.indexOf('\n', field);
      const equals = data.indexOf('=', field);
      if (equals >= 0 && equals < line) {
        fields[data.toString('latin1', field, equals)] = data.toString('utf8', equals + 1, line);
        field = line + 1;
      } else {
        const value = line + 9;
        const length = Number(data.readBigUInt64LE(line + 1));
        fields[data.toString('latin1', field, line)] = data.toString('utf8', value, value + length);
        field = value + length + 1;
      }
    }
    entries.push(fields);
    at = end;
  }
  return entries;
}

/** At and below /sysroot: without numbers of mounts, which are those of the moment. */
function mountsIn(mountinfo: string, root: string): string[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [, , device, source, path = '', ...more] = line.split(' ');
    if (path !== `${root}/sysroot` && !path.startsWith(`${root}/sysroot/`)) return [];
    const anonymous = device?.startsWith('0:') ? '0:N' : device;
    return [[anonymous, source, path.slice(root.length), ...more].join(' ').replaceAll(root, '')];
  });
}

function masked(text: string): string {
  return text.replace(/transient-etc\.[A-Za-z0-9]{6}/g, 'transient-etc.XXXXXX');
}

/** The first value, two numbers of 64 bits behind the key and its padding. */
function withoutInode(booted: string): string {
  const at = 32;
  return `${booted.slice(0, at)}${'#'.repeat(16)}${booted.slice(at + 16)}`;
}
