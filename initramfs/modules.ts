/** Kernel modules that stand between /init and the disk, loaded from a list: no modprobe is there. @module */
import { byteString, byteStringFrom, displayByteString } from '../src/core/bytes/byte-string.ts';
import { worded } from '../src/core/errno.ts';
import { checked, cString, kernel } from './sys.ts';
import { bootSystem, openForReading, using } from './system.ts';

/** Paths of modules, one a line, each behind those that it needs. */
const LIST = byteString('/usr/lib/sealtree/modules');
const LIST_LIMIT = 1024 * 1024;

const MODULE_INIT_COMPRESSED_FILE = 4;
const EEXIST = 17;
const ENODEV = 19;

/**
 * Loads what the list names. One for hardware that is not here (a faster checksum, another disk controller) is no
 * fault: if it was needed, what comes behind it says so.
 *
 * @throws SealtreeError for any other that cannot be loaded
 */
export function loadModules(): void {
  const data = bootSystem.readFile(LIST, LIST_LIMIT);
  if (data === undefined) return;
  for (const line of byteStringFrom(data).split('\n')) {
    if (line === '') continue;
    const path = byteString(line);
    const flags = /\.(?:xz|gz|zst)$/.test(line) ? MODULE_INIT_COMPRESSED_FILE : 0;
    try {
      using(openForReading(path), (fd) => {
        const result = kernel.finitModule(fd, cString(byteString('')), flags);
        if (result !== -EEXIST && result !== -ENODEV) checked('finit_module', result);
      });
    } catch (error) {
      throw worded(`loading ${displayByteString(path)}`, error);
    }
  }
}
