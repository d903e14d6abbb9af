/**
 * What the kernel can do for a secret in memory: no core dumps and no tracing by others while one is there
 * (prctl(2) PR_SET_DUMPABLE), and files that have no name anywhere (memfd_create(2)).
 * @module
 */
import { byteString } from '../core/bytes/byte-string.ts';
import { checked, cPath, foreign } from './foreign.ts';

const PR_GET_DUMPABLE = 3;
const PR_SET_DUMPABLE = 4;
const MFD_CLOEXEC = 1;

const prctl = foreign('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong']);
const memfdCreate = foreign('memfd_create', 'int', ['void *', 'uint']);

let holders = 0;
let wasDumpable = 1;

/**
 * Keeps this process out of core dumps, and its memory from other processes of the same user, until the function
 * that is returned has been called as often as this one.
 */
export function forbidDumps(): () => void {
  if (holders === 0) {
    wasDumpable = checked('prctl', prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
    checked('prctl', prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
  }
  holders++;
  let held = true;
  return () => {
    if (!held) return;
    held = false;
    holders--;
    if (holders === 0 && wasDumpable === 1) prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  };
}

/** An empty file that exists only as this descriptor, which a program that is run does not inherit by itself. */
export function openMemoryFile(): number {
  return checked('memfd_create', memfdCreate(cPath(byteString('secret')), MFD_CLOEXEC));
}
