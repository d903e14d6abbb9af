/** What there is to tell of the deployments of a sysroot. @module */
import { lstatSync } from 'node:fs';
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { decodeVariant } from '../core/gvariant/decode.ts';
import type { Value, Variant } from '../core/gvariant/value.ts';
import { ioError } from '../node/io-error.ts';
import { readFileLimited } from '../node/read-file.ts';
import { newEntry } from './boot-entry.ts';
import { commitText } from './commit-text.ts';
import { pendingAndRollback } from './deploy.ts';
import {
  type Deployment,
  deploymentName,
  isPinned,
  originOf,
  parseDeploymentName,
  sameDeployment,
} from './deployment.ts';
import { readOrigin, type Sysroot } from './sysroot.ts';

export interface DeploymentStatus {
  readonly stateroot: ByteString;
  readonly checksum: string;
  readonly serial: number;
  /** Place in the list. */
  readonly index: number;
  readonly booted: boolean;
  /** The first one before the running one. */
  readonly pending: boolean;
  /** The first one behind the running one. */
  readonly rollback: boolean;
  /** It becomes a deployment when the system shuts down. */
  readonly staged: boolean;
  /** It does not even then. */
  readonly locked: boolean;
  readonly softReboot: boolean;
  readonly pinned: boolean;
  /** Whether /usr can be changed: `none`, `development`, `transient`, `hotfix`. */
  readonly unlocked: string;
  readonly hasOrigin: boolean;
  readonly refspec: ByteString | undefined;
  /** `version` and `ostree.source-title` of the commit's metadata. */
  readonly version: ByteString | undefined;
  readonly sourceTitle: ByteString | undefined;
}

const RUN_STATE = '/run/ostree/deployment-state';
const STAGED_FILE = '/run/ostree/staged-deployment';
const NEXT_ROOT = '/run/ostree/nextroot-booted';
const LIMIT = 1024 * 1024;

/** All deployments, one that is staged first. */
export function statusOfAll(sysroot: Sysroot): DeploymentStatus[] {
  const staged = stagedDeployment(sysroot);
  const all = staged === undefined ? sysroot.deployments : [staged.deployment, ...sysroot.deployments];
  const { booted } = sysroot;
  const { pending, rollback } =
    booted === undefined
      ? { pending: undefined, rollback: undefined }
      : pendingAndRollback({ ...sysroot, deployments: all }, booted.stateroot);
  const is = (deployment: Deployment, other: Deployment | undefined) =>
    other !== undefined && sameDeployment(deployment, other);
  return all.map((deployment, index) => {
    const { stateroot, checksum, serial } = deployment;
    const origin = originOf(deployment);
    return {
      stateroot,
      checksum,
      serial,
      index,
      booted: is(deployment, booted),
      pending: is(deployment, pending),
      rollback: is(deployment, rollback),
      staged: deployment === staged?.deployment,
      locked: deployment === staged?.deployment && staged.locked,
      softReboot: isSoftRebootTarget(sysroot, deployment),
      pinned: isPinned(deployment),
      unlocked: unlockedState(deployment),
      hasOrigin: origin !== undefined,
      refspec: origin?.get('origin', 'refspec'),
      version: commitText(sysroot.repo, checksum, 'version'),
      sourceTitle: commitText(sysroot.repo, checksum, 'ostree.source-title'),
    };
  });
}

function unlockedState(deployment: Deployment): string {
  for (const state of ['development', 'transient']) {
    const path = `${RUN_STATE}/${deploymentName(deployment)}/unlocked-${state}`;
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return state;
  }
  return originOf(deployment)?.get('origin', 'unlocked') === 'hotfix' ? 'hotfix' : 'none';
}

/** A deployment that ostree completes at the shutdown; only the running system has one. */
function stagedDeployment(sysroot: Sysroot): { deployment: Deployment; locked: boolean } | undefined {
  if (sysroot.running === undefined) return undefined;
  const dict = readDict(STAGED_FILE);
  const target = dict?.get('target');
  if (dict === undefined || target?.type !== 'a{sv}') return undefined;
  const fields = new Map(target.value as [string, Variant][] & Value);
  const text = (key: string): ByteString => {
    const found = fields.get(key);
    if (found?.type === 's') return found.value as ByteString;
    throw new SealtreeError('malformed', `Loading staged deployment: Missing key: ${key}`);
  };
  const named = parseDeploymentName(text('name'));
  if (named === undefined)
    throw new SealtreeError('malformed', 'Loading staged deployment: Invalid deploy name');
  const made: Deployment = {
    ...named,
    stateroot: text('osname'),
    bootChecksum: text('bootcsum'),
    bootSerial: -1,
    entry: newEntry(undefined),
    origin: undefined,
  };
  const deployment = { ...made, origin: readOrigin(sysroot.path, made) };
  return { deployment, locked: dict.get('locked')?.value === true };
}

function isSoftRebootTarget(sysroot: Sysroot, deployment: Deployment): boolean {
  const next =
    sysroot.running === undefined ? undefined : readDict(NEXT_ROOT)?.get('backing-root-device-inode');
  if (next?.type !== '(tt)') return false;
  const [device, inode] = next.value as [bigint, bigint];
  const path = byteString(
    `${sysroot.path}/ostree/deploy/${deployment.stateroot}/deploy/${deploymentName(deployment)}`,
  );
  const status = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return status?.dev === device && status.ino === inode;
}

function readDict(path: string): Map<string, Variant> | undefined {
  const data = readFileLimited(byteString(path), path, LIMIT);
  if (data === undefined) return undefined;
  try {
    return new Map(decodeVariant('a{sv}', data, path) as [string, Variant][] & Value);
  } catch (error) {
    throw ioError(`failed to read ${path}`, error);
  }
}
