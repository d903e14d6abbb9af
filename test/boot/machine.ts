/** One virtual machine: QEMU in software emulation, which every host has, with its consoles kept in files. @module */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { bootCommand, bootRoot } from './root.ts';

export interface Disk {
  readonly path: string;
  readonly readonly?: true;
  readonly serial?: string;
  /** What the machine writes is forgotten; several machines may have it at the same time. */
  readonly snapshot?: true;
  /** An empty file that gets all writes and flushes in the format of the kernel's dm-log-writes. */
  readonly log?: string;
}

export interface Machine {
  readonly kernel: string;
  readonly initrd: string;
  readonly append: string;
  readonly disks: readonly Disk[];
  /** A folder for the files of this machine. */
  readonly folder: string;
  /** Milliseconds until it is stopped. */
  readonly timeout: number;
  readonly memory?: number;
  /** Further arguments of QEMU. */
  readonly qemu?: readonly string[];
  /** Stops the machine as soon as the console shows this. */
  readonly until?: RegExp;
}

export interface Stopped {
  /** What the first serial port showed. */
  readonly console: string;
  /** What was written to the second. */
  readonly report: string;
  readonly timedOut: boolean;
  readonly seconds: number;
  /** What QEMU itself complained of. */
  readonly complaint: string;
}

/** Runs the machine until it powers off, restarts or its time is over. */
export async function runMachine(machine: Machine): Promise<Stopped> {
  const root = bootRoot();
  if (root === undefined) throw new Error('no virtual machines');
  const consoleFile = join(machine.folder, 'console');
  const reportFile = join(machine.folder, 'report');
  const disks = machine.disks.flatMap(diskArguments);
  const args = [
    ...['-L', join(root, 'usr/share/seabios'), '-L', join(root, 'usr/share/qemu')],
    ...['-machine', 'q35', '-accel', 'tcg', '-cpu', 'max', '-m', String(machine.memory ?? 2048)],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-serial', `file:${consoleFile}`, '-serial', `file:${reportFile}`],
    ...(machine.kernel === '' ? [] : ['-kernel', machine.kernel, '-initrd', machine.initrd]),
    // On a busy host the timer may be later than the kernel waits for it, and it would panic.
    ...(machine.kernel === '' ? [] : ['-append', `${machine.append} no_timer_check`]),
    ...disks,
    ...(machine.qemu ?? []),
  ];
  // With whoever started it, however that ends, the machine ends too.
  const words = ['--pdeathsig', 'KILL', '--', ...(bootCommand('qemu-system-x86_64', args) as string[])];
  const start = performance.now();
  const child = spawn('setpriv', words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, QEMU_MODULE_DIR: join(root, 'usr/lib/x86_64-linux-gnu/qemu') },
  });
  let complaint = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
  const shown = tail(consoleFile);
  const watch = setInterval(() => {
    if (machine.until?.test(shown())) child.kill('SIGKILL');
  }, 250);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    child.kill('SIGKILL');
  }, machine.timeout);
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve());
  }).finally(() => {
    clearTimeout(timer);
    clearInterval(watch);
  });
  return {
    console: shown(),
    report: tail(reportFile)(),
    timedOut,
    seconds: (performance.now() - start) / 1000,
    complaint,
  };
}

function diskArguments({ path, readonly, serial, snapshot, log }: Disk, index: number): string[] {
  const id = `disk${index}`;
  const named = serial === undefined ? '' : `,serial=${serial}`;
  if (log !== undefined) {
    // Flushes are logged, and end there. Merged writes could have more parts than the log takes.
    const file = (filename: string) => ({ driver: 'file', filename, cache: { 'no-flush': true } });
    const logged = { driver: 'blklogwrites', 'node-name': id, file: file(path), log: file(log) };
    const device = `virtio-blk-pci,drive=${id}${named},request-merging=off`;
    return ['-blockdev', JSON.stringify(logged), '-device', device];
  }
  const access = `read-only=${readonly ? 'on' : 'off'},snapshot=${snapshot ? 'on' : 'off'},cache=unsafe`;
  return [
    '-drive',
    `if=none,id=${id},format=raw,file=${path},${access}`,
    '-device',
    `virtio-blk-pci,drive=${id}${named}`,
  ];
}

/** @returns a function that reads what a growing file holds by now */
function tail(path: string): () => string {
  let text = '';
  let at = 0;
  const buffer = Buffer.alloc(65_536);
  return () => {
    if (!existsSync(path)) return text;
    const fd = openSync(path, 'r');
    for (let length = -1; length !== 0; at += length) {
      length = readSync(fd, buffer, 0, buffer.length, at);
      text += buffer.toString('latin1', 0, length);
    }
    closeSync(fd);
    return text;
  };
}
