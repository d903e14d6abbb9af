/**
 * What initramfs/sys.c gives the program: system calls with the kernel's arguments, and the token of success. Strings
 * and structures go in as ArrayBuffers.
 * @module
 */
import { type ByteString, byteStringFrom, writeByteString } from '../src/core/bytes/byte-string.ts';
import { systemCallError } from '../src/core/errno.ts';

type Text = ArrayBuffer | null;

/** A row of the table in sys.c each: the result, or the negative error number. */
interface Sys {
  openat(directory: number, path: Text, flags: number, mode: number): number;
  close(fd: number): number;
  read(fd: number, target: ArrayBuffer): number;
  pread(fd: number, target: ArrayBuffer, at: number): number;
  write(fd: number, data: ArrayBuffer): number;
  fchmod(fd: number, mode: number): number;
  getdents(fd: number, target: ArrayBuffer): number;
  readlinkat(directory: number, path: Text, target: ArrayBuffer): number;
  statx(directory: number, path: Text, flags: number, mask: number, target: ArrayBuffer): number;
  fstatfs(fd: number, target: ArrayBuffer): number;
  mkdirat(directory: number, path: Text, mode: number): number;
  unlinkat(directory: number, path: Text, flags: number): number;
  symlinkat(target: Text, directory: number, path: Text): number;
  renameat2(fromDirectory: number, from: Text, toDirectory: number, to: Text, flags: number): number;
  dup3(from: number, to: number, flags: number): number;
  chdir(path: Text): number;
  chroot(path: Text): number;
  measureVerity(fd: number, target: ArrayBuffer): number;
  btrfsInfo(fd: number, target: ArrayBuffer): number;
  btrfsDevice(fd: number, target: ArrayBuffer): number;
  mount(source: Text, target: Text, type: Text, flags: number, options: Text): number;
  umount2(path: Text, flags: number): number;
  fsopen(type: Text, flags: number): number;
  fsconfig(fd: number, command: number, key: Text, value: Text, auxiliary: number): number;
  fsmount(fd: number, flags: number, attributes: number): number;
  moveMount(from: number, fromPath: Text, to: number, toPath: Text, flags: number): number;
  loopGetFree(control: number): number;
  loopConfigure(fd: number, config: ArrayBuffer): number;
  getpid(): number;
  getrandom(target: ArrayBuffer, flags: number): number;
  nanosleep(duration: ArrayBuffer, rest: null): number;
  socket(family: number, type: number, protocol: number): number;
  sendto(fd: number, data: ArrayBuffer, flags: number, address: ArrayBuffer): number;
  sync(): number;
  reboot(magic: number, magic2: number, command: number, argument: null): number;
  finitModule(fd: number, parameters: Text, flags: number): number;
  execve(path: Text, words: readonly ArrayBuffer[], environment: readonly ArrayBuffer[]): number;
  succeed(token: number): void;
}

declare const sys: Sys;
declare const words: readonly ArrayBuffer[];

/** The calls themselves; system.ts wraps those that can fail. */
export const kernel: Sys = sys;

/** The command line, the program's own name first. */
export const commandLine: readonly ByteString[] = words.map((word) => byteStringFrom(new Uint8Array(word)));

/** The command line as the calls take it. */
export const rawCommandLine: readonly ArrayBuffer[] = words.map((word) => {
  const copy = new Uint8Array(word.byteLength + 1);
  copy.set(new Uint8Array(word));
  return copy.buffer;
});

/** The token of TOKEN in sys.c: after it, and a return of the program, the exit status is 0. */
const TOKEN = 0x5ea17ee5;

/** To be called once, at the end, when everything has been seen to be as it should be. */
export function succeed(): void {
  kernel.succeed(TOKEN);
}

/** A string for the kernel. */
export function cString(text: ByteString): ArrayBuffer {
  const data = new Uint8Array(text.length + 1);
  if (text.includes('\0')) throw systemCallError('string with a NUL byte', 'EINVAL');
  writeByteString(data, 0, text);
  return data.buffer;
}

/** As `cString`, of a text that may be missing. */
export function cText(text: ByteString | null): ArrayBuffer | null {
  return text === null ? null : cString(text);
}

/** The result, or what its error number says. */
export function checked(call: string, result: number): number {
  if (result < 0) throw systemCallError(call, -result);
  return result;
}

/** As `checked`, of a call that is made again while a signal interrupts it. */
export function retried(call: string, perform: () => number): number {
  const EINTR = 4;
  for (;;) {
    const result = perform();
    if (result !== -EINTR) return checked(call, result);
  }
}
