/**
 * `ostree-prepare-root SYSROOT [CMDLINE]`: makes the deployment that is booted the root file system, if it is what the
 * configuration of the initramfs demands. Arguments, output, mounts and exit status are those of ostree-prepare-root
 * 2026.4; docs/boot.md says where it is stricter. As process 1 it is /init of an initramfs.
 * @module
 */
import { byteString, bytesOf, displayByteString, utf8ByteString } from '../src/core/bytes/byte-string.ts';
import { SealtreeError } from '../src/core/errors.ts';
import { boot, type Outcome, readCommandLine, softReboot } from './boot.ts';
import { init } from './init.ts';
import { commandLine, kernel, succeed } from './sys.ts';
import { writeAll } from './system.ts';

/** Name and version: a constant of its own, so that it stands in the executable as it is. */
declare const SEALTREE_PROGRAM: string;

const STDOUT = 1;

main();

function main(): void {
  const [first, second] = commandLine.slice(1);
  // Before any word: the kernel hands to process 1 what stands on its command line and means nothing to itself.
  if (kernel.getpid() === 1) init();
  else if (first === '--version') writeAll(STDOUT, bytesOf(utf8ByteString(`${SEALTREE_PROGRAM}\n`)));
  else if (first === '--soft-reboot') finish(softReboot(second ?? byteString('')));
  else if (first === undefined) throw usage('usage: ostree-prepare-root SYSROOT [KERNEL_CMDLINE]');
  else if (first.startsWith('-'))
    throw usage(`Error parsing options: Unknown option ${displayByteString(first)}`);
  else finish(boot(first, second ?? readCommandLine()));
  succeed();
}

/** What is thrown is printed behind the program's name, and the exit status is 1. */
function finish({ refused }: Outcome): void {
  if (refused !== undefined) throw new SealtreeError('mismatch', refused.lines.join('\n'));
}

function usage(message: string): SealtreeError {
  return new SealtreeError('usage', message);
}
