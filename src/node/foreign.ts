/**
 * Calling C: koffi, loaded when the first call is made. Every foreign function of sealtree is declared through
 * this module, by src/node/syscalls.ts and its neighbours.
 * @module
 */
import { createRequire } from 'node:module';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { systemCallError } from '../core/errno.ts';
import { SealtreeError } from '../core/errors.ts';

type Koffi = typeof import('koffi');
type Library = ReturnType<Koffi['load']>;

/** C types as koffi writes them. Byte strings go in as `cPath()`, buffers as they are, addresses as bigint. */
export type ForeignType = 'int' | 'uint' | 'long' | 'ulong' | 'int64' | 'uint64' | 'void *' | 'void' | 'str';

export type ForeignArgument = number | bigint | string | Uint8Array | null | undefined;
export type ForeignFunction = (...args: ForeignArgument[]) => number;

let koffi: Koffi | undefined;
const libraries = new Map<string | null, Library>();

/**
 * Declares a C function; library and symbol are looked up by its first call.
 *
 * @param library file name for dlopen; null, the default, for what this process has loaded: the C library
 * @throws SealtreeError `unsupported`, when it is called, if library or function are not on this system
 */
export function foreign(
  name: string,
  result: ForeignType,
  args: readonly ForeignType[],
  library: string | null = null,
): ForeignFunction {
  let call: ForeignFunction | undefined;
  const found = () => {
    call ??= findForeign(name, result, args, library);
    return call;
  };
  // Fixed parameters, which koffi does not mind to get too many of, cost half of what gathered ones do.
  return args.length <= 6
    ? (a, b, c, d, e, f) => (call ?? found())(a, b, c, d, e, f)
    : (...values) => found()(...values);
}

/** As `foreign`, but looked up now: its calls cost less, and it tells now what is not on this system. */
export function findForeign(
  name: string,
  result: ForeignType,
  args: readonly ForeignType[],
  library: string | null = null,
): ForeignFunction {
  const opened = open(library);
  try {
    return opened.func(name, result, [...args]);
  } catch (error) {
    throw new SealtreeError(
      'unsupported',
      `${name}() is not in ${library ?? 'this C library'}`,
      {},
      { cause: error },
    );
  }
}

/** The error number that the last foreign call of this thread left. */
export function lastErrno(): number {
  return loadKoffi().errno();
}

/** The address of a buffer, for structs that hold pointers. The buffer must be kept alive over the call. */
export function addressOf(data: Uint8Array): bigint {
  return BigInt(loadKoffi().address(data));
}

/** Returns `result`, or throws what errno says if it is negative, as system calls report failure. */
export function checked(call: string, result: number): number {
  if (result < 0) throw systemCallError(call, lastErrno());
  return result;
}

const PATH_MAX = 4096;
const scratch: Buffer[] = [];

/** Up to this length, which most names have, a loop is faster than a call of Buffer's. */
const SHORT = 48;

/**
 * A path as a C string, in a buffer that the next call with the same slot overwrites: for the length of one call.
 *
 * @param slot which buffer, for calls that take more than one path
 */
export function cPath(path: ByteString, slot = 0): Buffer {
  if (path.length >= PATH_MAX) throw systemCallError(path.slice(0, 80), 'ENAMETOOLONG');
  if (path.includes('\0')) throw systemCallError('path with a NUL byte', 'EINVAL');
  scratch[slot] ??= Buffer.alloc(PATH_MAX);
  const buffer = scratch[slot];
  const { length } = path;
  if (length > SHORT) buffer.write(path, 0, 'latin1');
  else for (let i = 0; i < length; i++) buffer[i] = path.charCodeAt(i);
  buffer[length] = 0;
  return buffer;
}

/** Bytes of a foreign buffer as a byte string. */
export function bytesAt(buffer: Buffer, start: number, end: number): ByteString {
  return byteString(buffer.toString('latin1', start, end));
}

function open(name: string | null): Library {
  let library = libraries.get(name);
  if (library === undefined) {
    try {
      // Deep: a library's own calls must not end in functions of the same name that the node program exports (zlib's).
      library = loadKoffi().load(name, name === null ? {} : { deep: true });
    } catch (error) {
      if (error instanceof SealtreeError) throw error;
      throw new SealtreeError('unsupported', `${name} cannot be loaded on this system`, {}, { cause: error });
    }
    libraries.set(name, library);
  }
  return library;
}

function loadKoffi(): Koffi {
  if (koffi === undefined) {
    try {
      const load = createRequire(import.meta.url);
      koffi = nativeKoffi(load) ?? (load('koffi') as Koffi);
    } catch (error) {
      const message = 'koffi, which system calls go through, is not installed for this platform';
      throw new SealtreeError('unsupported', message, {}, { cause: error });
    }
  }
  return koffi;
}

/**
 * The part of koffi that is made for this platform, a package of its own, which is all that is needed here. The rest finds
 * this part and adds what it had under other names, in 4 ms.
 */
function nativeKoffi(load: NodeJS.Require): Koffi | undefined {
  try {
    const native = load(`@koromix/koffi-${process.platform}-${process.arch}`) as Koffi & { version: string };
    return native.version.startsWith('3.') ? native : undefined;
  } catch {
    return undefined;
  }
}
