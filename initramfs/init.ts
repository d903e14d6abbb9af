/**
 * /init of an initramfs that has no other program: mounts what the kernel offers and the disk, boots, and gives way to
 * the init of the system. Without an initramfs nothing would vouch for the program itself, and nothing is touched.
 * @module
 */
import {
  type ByteString,
  byteString,
  bytesOf,
  displayByteString,
  utf8ByteString,
} from '../src/core/bytes/byte-string.ts';
import { kernelArgument } from '../src/core/conf/cmdline.ts';
import { errorName, errorText, failedWith, worded } from '../src/core/errno.ts';
import { SealtreeError } from '../src/core/errors.ts';
import { MS } from '../src/core/mount/calls.ts';
import { boot, isInitramfs, type Refused, readCommandLine, refuseAfter } from './boot.ts';
import { loadModules } from './modules.ts';
import { PRIORITY, REFUSAL_MESSAGE_ID, tell } from './report.ts';
import { mountRoot } from './root-device.ts';
import { checked, cString, kernel, rawCommandLine } from './sys.ts';
import {
  bootSystem,
  bootMountCalls as calls,
  changeDirectory,
  close,
  fileSystemStatus,
  makeDirectory,
  open,
  sleep,
  writeAll,
} from './system.ts';

const STDERR = 2;
const SYSROOT = byteString('/sysroot');
const SHELL = byteString('/bin/sh');
const INITS = ['/sbin/init', '/usr/lib/systemd/systemd', '/lib/systemd/systemd'];
const ENVIRONMENT = [
  'HOME=/',
  'TERM=linux',
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
];

/** Seconds for which a refusal stands on the screen. */
const REFUSAL_SECONDS = 30;

/** Only returns if the init of the system could not be started and nothing else was to be done. */
export function init(): void {
  let refused: Refused;
  try {
    requireInitramfs();
    mountKernelFileSystems();
    openConsole();
    const cmdline = readCommandLine();
    loadModules();
    mountRoot(cmdline, SYSROOT);
    const outcome = boot(SYSROOT, cmdline);
    refused = outcome.refused ?? refuseAfter(outcome.decision, switchRoot(cmdline), 'backing files');
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    refused = { lines: [error.message], onRefusal: 'poweroff' };
    tell(PRIORITY.error, REFUSAL_MESSAGE_ID, refused.lines);
  }
  for (const line of refused.lines) complain(line);
  if (refused.onRefusal === 'shell') execute(SHELL, [SHELL]);
  sleep(REFUSAL_SECONDS);
  powerOff();
}

function requireInitramfs(): void {
  if (isInitramfs()) return;
  throw new SealtreeError(
    'unsupported',
    'process 1 needs an initramfs: started from the disk itself, mode signed is meaningless, and the others are left to ostree-prepare-root-static',
  );
}

const CMDLINE = byteString('/proc/cmdline');

const KERNEL_FILE_SYSTEMS = [
  { type: 'proc', at: '/proc', flags: MS.nosuid | MS.nodev | MS.noexec, options: null },
  { type: 'sysfs', at: '/sys', flags: MS.nosuid | MS.nodev | MS.noexec, options: null },
  { type: 'devtmpfs', at: '/dev', flags: MS.nosuid, options: 'mode=0755' },
  { type: 'tmpfs', at: '/run', flags: MS.nosuid | MS.nodev, options: 'mode=0755' },
] as const;

function mountKernelFileSystems(): void {
  for (const { type, at, flags, options } of KERNEL_FILE_SYSTEMS) {
    const [kind, target] = [byteString(type), byteString(at)];
    makeMissingDirectory(target);
    if (type === 'proc' && bootSystem.kindOf(CMDLINE) !== undefined) continue;
    try {
      calls.mount(kind, target, kind, flags, options === null ? null : byteString(options));
    } catch (error) {
      // The kernel mounts devtmpfs itself where it is told to.
      if (!failedWith(error, 'EBUSY')) throw worded(`mounting ${at}`, error);
    }
  }
  makeMissingDirectory(SYSROOT);
}

function makeMissingDirectory(path: ByteString): void {
  try {
    makeDirectory(path, 0o755);
  } catch (error) {
    if (!failedWith(error, 'EEXIST')) throw worded(`making ${path}`, error);
  }
}

/** The kernel starts us without standard input, output and error where the archive of the initramfs has no /dev/console. */
function openConsole(): void {
  const O_RDWR = 2;
  if (isOpen(STDERR)) return;
  let fd: number;
  try {
    fd = open(byteString('/dev/console'), O_RDWR);
  } catch {
    return;
  }
  for (const standard of [0, 1, STDERR]) if (fd !== standard) kernel.dup3(fd, standard, 0);
  if (fd > STDERR) close(fd);
}

function isOpen(fd: number): boolean {
  try {
    fileSystemStatus(fd);
    return true;
  } catch {
    return false;
  }
}

const MOVED = ['/dev', '/proc', '/sys', '/run'];

/** Makes the new root the root, and becomes its init. @returns why not */
function switchRoot(cmdline: ByteString): SealtreeError {
  for (const path of MOVED) {
    const target = byteString(SYSROOT + path);
    if (bootSystem.kindOf(target) !== 'directory') continue;
    try {
      calls.mount(byteString(path), target, null, MS.move, null);
    } catch (error) {
      throw worded(`moving ${path}`, error);
    }
  }
  const root = byteString('/');
  const here = byteString('.');
  try {
    changeDirectory(SYSROOT);
    calls.mount(here, root, null, MS.move, null);
    checked('chroot', kernel.chroot(cString(here)));
    changeDirectory(root);
  } catch (error) {
    throw worded('switching to the new root', error);
  }
  const named = kernelArgument(cmdline, 'init');
  const candidates = named === undefined ? INITS.map((path) => byteString(path)) : [named];
  const failures = candidates.map((path) => {
    const error = execute(path, [path, ...extraWords()]);
    return {
      file: displayByteString(path),
      error,
      message: `${displayByteString(path)}: ${errorText(error)}`,
    };
  });
  const message = `no init: ${failures.map((failure) => failure.message).join('; ')}`;
  // What the disk holds of it is not what was signed.
  const changed = failures.find(({ error }) => errorName(error) === 'EIO');
  return new SealtreeError('missing', message, changed === undefined ? {} : { file: changed.file });
}

/** What the kernel handed to /init because it meant nothing to itself: `single`, say. */
function extraWords(): readonly ArrayBuffer[] {
  return rawCommandLine.slice(1);
}

/** Becomes another program. @returns the error number for which it did not */
function execute(path: ByteString, words: readonly (ByteString | ArrayBuffer)[]): number {
  const raw = words.map((word) => (typeof word === 'string' ? cString(word) : word));
  return -kernel.execve(
    cString(path),
    raw,
    ENVIRONMENT.map((entry) => cString(byteString(entry))),
  );
}

function complain(line: string): void {
  try {
    writeAll(STDERR, bytesOf(utf8ByteString(`ostree-prepare-root: ${line}\n`)));
  } catch {
    // There is no console.
  }
}

function powerOff(): void {
  const MAGIC1 = 0xfee1dead;
  const MAGIC2 = 672274793;
  const POWER_OFF = 0x4321fedc;
  kernel.sync();
  kernel.reboot(MAGIC1, MAGIC2, POWER_OFF, null);
}
