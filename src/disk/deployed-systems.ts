/** What a physical root has been deployed to, and what a disk made of it is named after. @module */

import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { nodeSystem } from '../node/system.ts';
import { Repo } from '../repo/repo.ts';

export interface DeployedSystems {
  /** Directories of the deployments, absolute. */
  readonly deployments: readonly ByteString[];
  /** The same for the same deployments. */
  readonly identity: string;
  /** Seconds since 1970: SOURCE_DATE_EPOCH, else when the newest commit was made. */
  readonly timestamp: number;
}

const MAX_TIMESTAMP = 2 ** 33;

/** @throws SealtreeError `missing` if nothing has been deployed, `usage` for a SOURCE_DATE_EPOCH that is no time */
export function deployedSystems(sysroot: ByteString): DeployedSystems {
  const folder = byteString(`${sysroot}/ostree/deploy`);
  const deployments: ByteString[] = [];
  for (const stateroot of names(folder)) {
    for (const name of names(byteString(`${folder}/${stateroot}/deploy`)))
      if (/^[0-9a-f]{64}\.[0-9]+$/.test(name)) deployments.push(byteString(`${stateroot}/${name}`));
  }
  if (deployments.length === 0)
    throw new SealtreeError('missing', `${displayByteString(sysroot)}: nothing has been deployed to it`);
  const directories = deployments.map((name) => byteString(`${folder}/${name.replace('/', '/deploy/')}`));
  return {
    deployments: directories,
    identity: identityOf(deployments),
    timestamp: timestampOf(sysroot, deployments),
  };
}

/** @param deployments `STATEROOT/COMMIT.SERIAL`, sorted */
export function identityOf(deployments: readonly ByteString[]): string {
  return deployments.join('\n');
}

function timestampOf(sysroot: ByteString, deployments: readonly ByteString[]): number {
  const epoch = process.env.SOURCE_DATE_EPOCH;
  if (epoch !== undefined) {
    const time = /^[0-9]{1,12}$/.test(epoch) ? Number(epoch) : MAX_TIMESTAMP;
    if (time >= MAX_TIMESTAMP)
      throw new SealtreeError('usage', `SOURCE_DATE_EPOCH: expected seconds since 1970, found '${epoch}'`, {
        help: 'no',
      });
    return time;
  }
  const repo = Repo.open(byteString(`${sysroot}/ostree/repo`));
  const times = deployments.map((name) => {
    const checksum = name.slice(name.indexOf('/') + 1, name.lastIndexOf('.'));
    return Number(repo.commit(checksum).timestamp);
  });
  return Math.min(Math.max(...times), MAX_TIMESTAMP - 1);
}

function names(folder: ByteString): readonly ByteString[] {
  return nodeSystem.readDirectory(folder) ?? [];
}
