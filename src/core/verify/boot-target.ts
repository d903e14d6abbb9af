/**
 * Which deployment is booted: step 2 of ostree-prepare-root 2026.4 in its words, and what it does not check, that
 * the deployment is one, below `ostree/deploy` of the physical root.
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { isChecksum } from '../bytes/hex.ts';
import { malformed, SealtreeError } from '../errors.ts';
import type { System } from '../system.ts';
import { type Fault, faultError } from './fault.ts';

export interface BootTarget {
  /** Where the disk is mounted, without symlinks or a slash at its end; '' for /. */
  readonly sysroot: ByteString;
  /** The deployment's directory in it: `/ostree/deploy/OS/deploy/CHECKSUM.SERIAL`. */
  readonly deployment: ByteString;
  /** undefined where the path does not say. */
  readonly stateroot: ByteString | undefined;
  /** The name of its directory up to the first dot, which must be a checksum where a signature is demanded. */
  readonly commit: string;
}

/** Symlinks on the way to one file (MAXSYMLINKS of the kernel). */
const MAX_LINKS = 40;
const PATH_LIMIT = 4096;

/**
 * The path without symlinks, `.` and `..`; what realpath(3) does, by readlink alone.
 *
 * @returns undefined if something on the way is not there
 * @throws SealtreeError `io` ELOOP, ENAMETOOLONG
 */
export function realPath(system: System, path: ByteString): ByteString | undefined {
  /** The directories on the way, each with those before it. */
  const done: string[] = [''];
  const todo = path.split('/').reverse();
  for (let links = 0; todo.length > 0; ) {
    const part = todo.pop() as string;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      if (done.length === 1) continue;
      // What is not there has no parent either.
      if (system.kindOf(byteString(done.pop() as string)) !== 'directory') return undefined;
      continue;
    }
    const here = byteString(`${done.at(-1)}/${part}`);
    if (here.length > PATH_LIMIT) throw pathError(path, 'ENAMETOOLONG', 'File name too long');
    const target = system.readLink(here);
    if (target === undefined) {
      done.push(here);
      continue;
    }
    // POSIX: a link that is empty leads nowhere. The kernel would stay where it is.
    if (target === '') return undefined;
    if (++links > MAX_LINKS) throw pathError(path, 'ELOOP', 'Too many levels of symbolic links');
    if (target.startsWith('/')) done.length = 1;
    todo.push(...target.split('/').reverse());
  }
  const result = byteString(done.at(-1) || '/');
  return result === '/' || system.kindOf(result) !== undefined ? result : undefined;
}

function pathError(path: ByteString, errno: string, text: string): SealtreeError {
  return new SealtreeError('io', `${displayByteString(path.slice(0, 200) as ByteString)}: ${text}`, {
    errno,
  });
}

/**
 * Follows the link that the kernel arguments name. A deployment's directory may be named as well.
 *
 * @param sysroot as given, an absolute path
 * @param target undefined if no argument names one
 * @throws SealtreeError `missing` or `malformed` in ostree's words
 */
export function resolveTarget(
  system: System,
  sysroot: ByteString,
  target: ByteString | undefined,
): BootTarget {
  const root = realSysroot(system, sysroot);
  if (target === undefined) throw new SealtreeError('missing', 'No ostree target found');
  const path = byteString(`${root}/${target}`);
  if (path.length > PATH_LIMIT) throw pathError(path, 'ENAMETOOLONG', 'File name too long');
  const shown = displayByteString(path);
  const kind = system.kindOf(path);
  if (kind === undefined)
    throw new SealtreeError(
      'missing',
      `Couldn't find specified OSTree root '${shown}': No such file or directory`,
    );
  const real = realPath(system, path);
  if (
    kind !== 'symlink' &&
    !(kind === 'directory' && real !== undefined && isDeployment(real.slice(root.length)))
  )
    throw malformed(`OSTree target is not a symbolic link: ${shown}`);
  if (real === undefined)
    throw new SealtreeError('missing', `realpath(${shown}) failed: No such file or directory`);
  return targetAt(root, real);
}

/**
 * The target for a deployment's directory, a path without symlinks.
 *
 * @throws SealtreeError if it is not below `sysroot`: the disk is moved while a boot is carried out, and what is not
 *   on it cannot be found again
 */
export function targetAt(sysroot: ByteString, path: ByteString): BootTarget {
  if (path !== sysroot && !path.startsWith(`${sysroot}/`)) throw faultError(misplaced(path));
  const deployment = byteString(path.slice(sysroot.length));
  const parts = deployment.split('/');
  return {
    sysroot,
    deployment,
    stateroot: isDeployment(deployment) ? byteString(parts[3] as string) : undefined,
    commit: (parts.at(-1) as string).split('.')[0] as string,
  };
}

/** @throws SealtreeError `missing` in ostree's words */
export function realSysroot(system: System, sysroot: ByteString): ByteString {
  const real = realPath(system, sysroot);
  if (real === undefined)
    throw new SealtreeError(
      'missing',
      `realpath("${displayByteString(sysroot)}"): No such file or directory`,
    );
  return real === '/' ? byteString('') : real;
}

/** What is wrong with the place of a deployment; undefined if nothing is. */
export function placeFault(system: System, { sysroot, deployment, commit }: BootTarget): Fault | undefined {
  const name = 'deployment';
  const shown = displayByteString(deployment);
  if (!isDeployment(deployment)) return misplaced(deployment);
  if (!isChecksum(commit)) {
    const expected = 'CHECKSUM.SERIAL, 64 hexadecimal digits and a number';
    return {
      name,
      message: `${shown}: not a deployment, which is named after its commit`,
      expected,
      found: shown,
    };
  }
  const path = byteString(sysroot + deployment);
  const place = realPath(system, path) ?? path;
  if (place !== path) return misplaced(place);
  const kind = system.kindOf(path);
  if (kind !== 'directory')
    return { name, message: `${shown}: not a directory`, expected: 'directory', found: kind ?? 'nothing' };
  const objects = byteString(`${sysroot}/ostree/repo/objects`);
  const real = realPath(system, objects);
  if (real !== undefined && real !== objects) {
    const found = displayByteString(real);
    const message = `ostree/repo/objects of the physical root leads out of it, to ${found}`;
    return { name, message, expected: displayByteString(objects), found };
  }
  return undefined;
}

/** Of a path that is no deployment's. */
export function misplaced(path: ByteString): Fault {
  const found = displayByteString(path);
  return {
    name: 'deployment',
    message: `OSTree target leads out of ostree/deploy of the physical root, to ${found}`,
    expected: 'ostree/deploy/STATEROOT/deploy/CHECKSUM.SERIAL',
    found,
  };
}

function isDeployment(path: string): boolean {
  return /^\/ostree\/deploy\/[^/]+\/deploy\/[^/]+$/.test(path);
}
