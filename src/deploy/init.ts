/** Beginning a sysroot, and a stateroot in it: `ostree admin init-fs` and `stateroot-init`. @module */
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { initRepository } from '../repo/init.ts';
import { Repo } from '../repo/repo.ts';
import { requireStaterootName } from './deployment.ts';
import { ensureDirectory, syncDirectory } from './files.ts';
import { touchDeployments } from './touch.ts';

const TRADITIONAL = ['boot', 'dev', 'home', 'proc', 'run', 'sys'];

/**
 * Makes the folders of a sysroot in a directory that is there, and an empty bare repository.
 *
 * @param epoch 0 makes the mount points of a root file system as well, 1 only `boot` and `ostree`, 2 `ostree` for root
 *   alone
 * @throws SealtreeError `io` in ostree's words
 */
export function initFs(path: ByteString, epoch = 0): void {
  const below = (name: string) => joinPath(path, byteString(name));
  requireDirectory(path);
  ensureDirectory(below('boot'), 0o755);
  if (epoch < 0) throw new SealtreeError('usage', `Invalid epoch: ${epoch}`, { help: 'no' });
  if (epoch === 0) {
    for (const name of TRADITIONAL) ensureDirectory(below(name), 0o755);
    ensureDirectory(below('root'), 0o700);
    ensureDirectory(below('tmp'), 0o1777);
    chmodSync(fsPath(below('tmp')), 0o1777);
  } else if (epoch === 2) ensureDirectory(below('ostree'), 0o700);
  initSysroot(path);
}

/** Makes `ostree/repo` and `ostree/deploy`, where they are not there yet. */
export function initSysroot(path: ByteString): void {
  const below = (name: string) => joinPath(path, byteString(name));
  ensureDirectory(below('ostree/repo'), 0o755);
  ensureDirectory(below('ostree/deploy'), 0o755);
  initRepository(below('ostree/repo'), { mode: 'bare' });
  Repo.open(below('ostree/repo'));
}

/**
 * Makes a stateroot, to which deployments of one operating system belong.
 *
 * @throws SealtreeError `usage` for a name that cannot be one, `io` in ostree's words if it is there already
 */
export function initStateroot(sysroot: ByteString, name: ByteString): void {
  requireStaterootName(name);
  const folder = `ostree/deploy/${name}`;
  makeFolder(joinPath(sysroot, byteString(folder)), displayByteString(byteString(folder)));
  makeFolder(joinPath(sysroot, byteString(`${folder}/var`)), 'var');
  syncDirectory(joinPath(sysroot, byteString('ostree/deploy')));
  touchDeployments(sysroot);
}

function makeFolder(path: ByteString, shown: string): void {
  try {
    mkdirSync(fsPath(path), 0o777);
  } catch (error) {
    throw ioError(`Creating ${shown}`, error);
  }
}

function requireDirectory(path: ByteString): void {
  try {
    if (statSync(fsPath(path)).isDirectory()) return;
  } catch (error) {
    throw ioError(`opendir(${displayByteString(path)})`, error);
  }
  throw new SealtreeError('io', `opendir(${displayByteString(path)}): Not a directory`, { errno: 'ENOTDIR' });
}
