/**
 * Deployments: what one is called, where its parts are below a sysroot, and which names may be one.
 * Layout: ostree's manual, "Deployments".
 * @module
 */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { isChecksum } from '../core/bytes/hex.ts';
import { type Keyfile, parseKeyfile } from '../core/conf/keyfile.ts';
import { malformed, prefixed, SealtreeError } from '../core/errors.ts';
import type { BootEntry } from './boot-entry.ts';

/** A tree of a commit that is checked out for booting. */
export interface Deployment {
  /** Operating system that shares one /var: `osname` in older words. */
  readonly stateroot: ByteString;
  readonly checksum: string;
  /** Tells deployments of the same commit apart. */
  readonly serial: number;
  /** Hash of kernel, initramfs and device tree. */
  readonly bootChecksum: string;
  /** Tells deployments with the same boot checksum apart; part of the `ostree=` argument. */
  readonly bootSerial: number;
  /** Text of the `.origin` file; undefined if there is none. */
  readonly origin: ByteString | undefined;
  readonly entry: BootEntry;
}

/** Bytes of a stateroot's name: it is a file name, and part of a kernel argument. */
const NAME_LIMIT = 128;

/**
 * Refuses what is no name of a stateroot. It stands in paths, in symlinks, in boot entries and on the kernel command
 * line, so it has no slash, no blank and no control character.
 *
 * @throws SealtreeError `usage`
 */
export function requireStaterootName(name: ByteString): void {
  if (/^(?!\.{1,2}$)[^\x00-\x20/\x7f]+$/.test(name) && name.length <= NAME_LIMIT) return;
  throw new SealtreeError('usage', `Invalid stateroot name '${displayByteString(name)}'`, { help: 'no' });
}

/** `CHECKSUM.SERIAL`, the name of a deployment's directory. */
export function deploymentName({ checksum, serial }: Pick<Deployment, 'checksum' | 'serial'>): ByteString {
  return byteString(`${checksum}.${serial}`);
}

/** Takes a deployment's name apart; undefined if it is none. */
export function parseDeploymentName(name: ByteString): { checksum: string; serial: number } | undefined {
  const [, checksum = '', serial = ''] = /^([0-9a-f]+)\.(0|[1-9][0-9]{0,8})$/.exec(name) ?? [];
  return isChecksum(checksum) && !name.endsWith('\n') ? { checksum, serial: Number(serial) } : undefined;
}

type Named = Pick<Deployment, 'stateroot' | 'checksum' | 'serial'>;

/** The deployment's directory below the sysroot. */
export function deploymentPath(deployment: Named): ByteString {
  return byteString(`ostree/deploy/${deployment.stateroot}/deploy/${deploymentName(deployment)}`);
}

/** The deployment's `.origin` file below the sysroot. */
export function originPath(deployment: Named): ByteString {
  return byteString(`${deploymentPath(deployment)}.origin`);
}

/** Where directories for overlays of this deployment are. */
export function backingPath(deployment: Named): ByteString {
  return byteString(`ostree/deploy/${deployment.stateroot}/backing/${deploymentName(deployment)}`);
}

/** What the link in `ostree/boot.V.S` leads to. */
export function bootLinkTarget(deployment: Named): ByteString {
  return byteString(`../../../deploy/${deployment.stateroot}/deploy/${deploymentName(deployment)}`);
}

/** The deployment's link below `ostree/boot.V`. */
export function bootLinkName({ stateroot, bootChecksum, bootSerial }: Deployment): ByteString {
  return byteString(`${stateroot}/${bootChecksum}/${bootSerial}`);
}

/** The value of the kernel argument `ostree=`. */
export function bootArgument(deployment: Deployment, bootVersion: number): ByteString {
  return byteString(`/ostree/boot.${bootVersion}/${bootLinkName(deployment)}`);
}

/** Where kernels of a boot checksum are, below `boot`. */
export function kernelFolder({ stateroot, bootChecksum }: Deployment): ByteString {
  return byteString(`ostree/${stateroot}-${bootChecksum}`);
}

/** Whether both are the same tree; boot entries and links may differ. */
export function sameDeployment(a: Named | undefined, b: Named | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.stateroot === b.stateroot && a.checksum === b.checksum && a.serial === b.serial;
}

/** The `.origin` file of a deployment as a key file; undefined if it has none. */
export function originOf(deployment: Deployment): Keyfile | undefined {
  if (deployment.origin === undefined) return undefined;
  try {
    return parseKeyfile(deployment.origin, originPath(deployment));
  } catch (error) {
    throw prefixed(`Parsing ${displayByteString(originPath(deployment))}`, error);
  }
}

/** Whether cleaning up leaves the deployment alone. */
export function isPinned(deployment: Deployment): boolean {
  try {
    return originOf(deployment)?.boolean('libostree-transient', 'pinned') ?? false;
  } catch (error) {
    if (error instanceof SealtreeError && error.code === 'malformed') return false;
    throw error;
  }
}

/**
 * Takes the kernel argument `ostree=` apart.
 *
 * @throws SealtreeError `malformed` in ostree's words
 */
export function parseBootArgument(value: ByteString): {
  bootVersion: number;
  stateroot: ByteString;
  bootChecksum: string;
  bootSerial: number;
} {
  const [, version, stateroot = '', bootChecksum = '', serial] =
    /^\/ostree\/boot\.([01])\/([^/]+)\/([^/]+)\/([0-9]{1,9})$/.exec(value) ?? [];
  if (version === undefined || !isChecksum(bootChecksum)) {
    const expected = 'ostree=/ostree/boot.BOOTVERSION/OSNAME/BOOTCSUM/TREESERIAL';
    throw malformed(`Invalid ostree= argument '${displayByteString(value)}', expected ${expected}`);
  }
  requireStaterootName(byteString(stateroot));
  return {
    bootVersion: Number(version),
    stateroot: byteString(stateroot),
    bootChecksum,
    bootSerial: Number(serial),
  };
}
