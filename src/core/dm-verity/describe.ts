/** What `veritysetup format` and `veritysetup dump` print of a device. @module */
import { hexOf } from '../bytes/hex.ts';
import type { DmVerityParameters } from './layout.ts';

export interface DescribedDevice {
  /** Path as it was given. */
  readonly hashDevice: string;
  /** Text; empty without a superblock. */
  readonly uuid: string;
  readonly parameters: DmVerityParameters;
  /** Of the superblock, bytes. */
  readonly hashOffset: number;
  /** Where the tree begins, in blocks of it. */
  readonly firstHashBlock: number;
  readonly hashBlocks: number;
  readonly fec:
    | {
        readonly roots: number;
        readonly offset: number;
        /** Of parity. */
        readonly blocks: number;
        readonly onHashDevice: boolean;
      }
    | undefined;
  readonly root: Uint8Array | undefined;
}

/** Lines, each with its newline. */
export function describeDevice(device: DescribedDevice): string {
  const { parameters, fec, root, hashBlocks, firstHashBlock } = device;
  const { hashBlockSize, dataBlockSize, salt } = parameters;
  const lines = [
    `VERITY header information for ${device.hashDevice}.`,
    `UUID:            \t${device.uuid}`,
    `Hash type:       \t${parameters.hashType}`,
    `Data blocks:     \t${parameters.dataBlocks}`,
    `Data block size: \t${dataBlockSize} [bytes]`,
    `Hash blocks:     \t${hashBlocks}`,
    `Hash block size: \t${hashBlockSize} [bytes]`,
    `Hash algorithm:  \t${parameters.algorithm}`,
  ];
  if (fec !== undefined) lines.push(`FEC RS roots:   \t${fec.roots}`, `FEC blocks:     \t${fec.blocks}`);
  lines.push(`Salt:            \t${salt.length === 0 ? '-' : hexOf(salt)}`);
  if (root !== undefined) lines.push(`Root hash:      \t${hexOf(root)}`);
  const used = firstHashBlock + hashBlocks + (fec?.onHashDevice ? fec.blocks : 0);
  if (device.hashOffset === 0) lines.push(`Hash device size: \t${used * hashBlockSize} [bytes]`);
  if (fec !== undefined && fec.offset === 0 && !fec.onHashDevice) {
    lines.push(`FEC device size: \t${fec.blocks * dataBlockSize} [bytes]`);
  }
  return lines.map((line) => `${line}\n`).join('');
}
