/** The files of initramfs/, which the package has beside the built program. @module */
import { readFileSync } from 'node:fs';
import { ioError } from '../node/io-error.ts';

/** @param name a path below initramfs/ */
export function readTemplate(name: string): Uint8Array {
  try {
    return readFileSync(new URL(`../initramfs/${name}`, import.meta.url));
  } catch (error) {
    throw ioError(`initramfs/${name} of sealtree`, error);
  }
}
