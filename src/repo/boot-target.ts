/**
 * Which deployment a kernel command line boots: step 2 of ostree-prepare-root 2026.4, with its messages. That the
 * deployment lies below `ostree/deploy` is checked here alone.
 * @module
 */
import { realpathSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { ostreeTarget } from '../core/conf/cmdline.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import type { System } from '../core/system.ts';
import { fsPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';

/**
 * @param sysroot where the disk is mounted, without links in its path
 * @returns the deployment's directory
 * @throws SealtreeError `missing` or `malformed`
 */
export function resolveBootTarget(system: System, sysroot: ByteString, cmdline: ByteString): ByteString {
  const target = ostreeTarget(cmdline);
  if (target === undefined) throw new SealtreeError('missing', 'No ostree target found');
  const path = byteString(`${sysroot}/${target}`.replace(/\/{2,}/g, '/'));
  const shown = displayByteString(path);
  if (system.readLink(path) === undefined) {
    // The link may itself stand behind a link, boot.1, which is followed.
    throw system.readDirectory(path) === undefined
      ? new SealtreeError('missing', `Couldn't find specified OSTree root '${shown}'`)
      : malformed(`OSTree target is not a symbolic link: ${shown}`);
  }
  let deployment: ByteString;
  try {
    deployment = byteString(realpathSync(fsPath(path), 'latin1'));
  } catch (error) {
    throw ioError(`realpath(${shown}) failed`, error);
  }
  if (!deployment.startsWith(`${sysroot}/ostree/deploy/`))
    throw malformed(`OSTree target ${shown} leads out of ostree/deploy, to ${displayByteString(deployment)}`);
  return deployment;
}
