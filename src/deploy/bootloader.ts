/**
 * Boot loaders that do not read boot entries themselves: ostree writes their configuration as well, sealtree does not,
 * and says so before anything is changed. How ostree finds out that one is there: its manual, "Bootloaders".
 * @module
 */
import { byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { readFileLimited } from '../node/read-file.ts';
import { entriesOf, isThere } from './files.ts';
import { inSysroot, type Sysroot } from './sysroot.ts';

const GRUB2_CONFIGURATIONS = ['boot/grub2/grub.cfg', 'boot/grub/grub.cfg'];
const STATE_LIMIT = 1024 * 1024;

/** @throws SealtreeError `unsupported` if a boot loader's configuration would have to be written */
export function requireNoBootloader(sysroot: Sysroot): void {
  const { bootloader } = sysroot.settings;
  const found = bootloader === 'auto' ? probe(sysroot) : bootloader === 'none' ? undefined : bootloader;
  if (found === undefined) return;
  throw new SealtreeError(
    'unsupported',
    `the configuration of ${found} is not written; set sysroot.bootloader=none if it reads boot entries itself`,
  );
}

function probe(sysroot: Sysroot): string | undefined {
  const has = (path: string) => isThere(inSysroot(sysroot, path));
  if (has('boot/syslinux/syslinux.cfg')) return 'syslinux (boot/syslinux/syslinux.cfg)';
  const grub = hasStaticGrub(sysroot) ? undefined : (GRUB2_CONFIGURATIONS.find(has) ?? efiGrub(sysroot));
  if (grub !== undefined) return `grub2 (${grub})`;
  return has('boot/loader/uEnv.txt') ? 'uboot (boot/loader/uEnv.txt)' : undefined;
}

/** bootupd's GRUB has a fixed configuration that reads boot entries. */
function hasStaticGrub(sysroot: Sysroot): boolean {
  const name = 'boot/bootupd-state.json';
  const data = readFileLimited(inSysroot(sysroot, name), name, STATE_LIMIT);
  const text = data === undefined ? '' : Buffer.from(data).toString('latin1');
  return text.includes('"static-configs"') && !text.includes('"static-configs":null');
}

function efiGrub(sysroot: Sysroot): string | undefined {
  for (const { name } of entriesOf(inSysroot(sysroot, 'boot/efi/EFI')) ?? []) {
    const path = `boot/efi/EFI/${name}/grub.cfg`;
    if (name !== 'BOOT' && isThere(inSysroot(sysroot, path))) return displayByteString(byteString(path));
  }
  return undefined;
}
