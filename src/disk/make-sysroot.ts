/** A physical root for a disk: an empty one, to which a commit of another repository is pulled and deployed. @module */
import { mkdirSync } from 'node:fs';
import {
  type ByteString,
  byteString,
  byteStringFrom,
  bytesOf,
  displayByteString,
} from '../core/bytes/byte-string.ts';
import { isChecksum } from '../core/bytes/hex.ts';
import { setKey } from '../core/conf/keyfile.ts';
import { SealtreeError } from '../core/errors.ts';
import type { BootLayout } from '../deploy/boot-entries.ts';
import { deploymentDirectories, removeDeployment } from '../deploy/cleanup.ts';
import { deploy } from '../deploy/deploy.ts';
import { removeTree } from '../deploy/files.ts';
import { initFs, initStateroot } from '../deploy/init.ts';
import { temporaryName, writeFileAtomically } from '../node/atomic-file.ts';
import { fsPath, joinPath } from '../node/fs-path.ts';
import { ioError } from '../node/io-error.ts';
import { readFileLimited } from '../node/read-file.ts';
import { forgetTemporary, registerTemporary } from '../node/temporary.ts';
import { pullLocal } from '../repo/pull-local.ts';
import { Repo } from '../repo/repo.ts';

export interface SysrootRequest {
  readonly source: Repo;
  /** A branch of it, or the checksum of a commit. */
  readonly ref: ByteString;
  readonly stateroot: ByteString;
  /** Kernel arguments of the boot entry, besides `ostree=`. */
  readonly kernelArguments: readonly ByteString[];
  /** Whether the boot partition will have symlinks. */
  readonly layout: BootLayout;
}

const CONFIG_LIMIT = 1024 * 1024;

/**
 * Makes the physical root in a temporary folder beside `output`, which may be on the file system of the repository:
 * then objects are linked and not copied. The folder is gone when `use` is done.
 *
 * @throws SealtreeError in the words of `pull-local` and `admin deploy`
 */
export async function withSysroot<T>(
  output: ByteString,
  request: SysrootRequest,
  use: (sysroot: ByteString) => T,
): Promise<T> {
  const path = temporaryName(output);
  registerTemporary(path, () => removeSysroot(path));
  try {
    try {
      mkdirSync(fsPath(path), { mode: 0o700 });
    } catch (error) {
      throw ioError(`making a folder beside ${displayByteString(output)}`, error);
    }
    await fill(path, request);
    return use(path);
  } finally {
    removeSysroot(path);
    forgetTemporary(path);
  }
}

async function fill(
  path: ByteString,
  { source, ref, stateroot, kernelArguments, layout }: SysrootRequest,
): Promise<void> {
  initFs(path);
  initStateroot(path, stateroot);
  const repository = joinPath(path, byteString('ostree/repo'));
  await pullLocal(Repo.open(repository), source, [ref], {
    remote: undefined,
    trusted: true,
    commitsOnly: false,
    depth: 0,
    verifyBindings: !isChecksum(ref),
    canonicalFiles: false,
    fsync: false,
  });
  await deploy(path, {
    stateroot,
    refspec: ref,
    merge: false,
    arguments: { from: 'none', append: kernelArguments },
    verity: 'later',
    layout,
  });
  // Only now: the objects may be links to those of the repository that they come from, which stays as it is.
  requireVerity(repository);
}

/** So that what is deployed to the disk later has fs-verity, too. */
function requireVerity(repository: ByteString): void {
  const path = joinPath(repository, byteString('config'));
  const data = readFileLimited(path, 'config', CONFIG_LIMIT) ?? new Uint8Array(0);
  const [group, key] = [byteString('ex-integrity'), byteString('composefs')];
  const text = setKey(byteStringFrom(data), group, key, byteString('true'), 'config');
  writeFileAtomically(path, bytesOf(text), { sync: false });
}

/** Deployments are immutable. */
function removeSysroot(path: ByteString): void {
  for (const deployment of deploymentDirectories({ path })) removeDeployment({ path }, deployment);
  removeTree(path);
}

/**
 * The branch that a disk is made of.
 *
 * @throws SealtreeError `usage` if none was named and there is not just one
 */
export function onlyRef(repo: Repo): ByteString {
  const refs = [...repo.refs().keys()].sort();
  const [ref] = refs;
  if (ref !== undefined && refs.length === 1) return ref;
  const found = ref === undefined ? 'none' : refs.map(displayByteString).join(', ');
  throw new SealtreeError('usage', `--ref: the repository has not just one branch, but ${found}`, {
    help: 'no',
  });
}
