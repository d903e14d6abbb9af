/** Error correction data on a device of its own, or behind the tree: how much it covers, made and checked. @module */
import { type FecGeometry, fecGeometry, paritySize } from '../core/dm-verity/fec.ts';
import type { DmVerityLayout, DmVerityParameters } from '../core/dm-verity/layout.ts';
import type { Device } from '../node/device.ts';
import { verityError } from './errors.ts';

export interface FecPlace {
  readonly device: Device;
  /** Bytes. */
  readonly offset: number;
  readonly roots: number;
}

/**
 * What parity covers: data, and the hash device from the tree to its end, or to the parity where that is on it.
 *
 * @throws SealtreeError in the words of veritysetup
 */
export function fecCoverage(
  parameters: DmVerityParameters,
  { start, end }: DmVerityLayout,
  hashDevice: Device,
  { device, offset, roots }: FecPlace,
): FecGeometry {
  const { dataBlocks, dataBlockSize, hashBlockSize } = parameters;
  // Parameters first, so that no number is divided that may not be.
  fecGeometry(parameters, 0, roots);
  const isSame = device.identity === hashDevice.identity;
  const behind = isSame ? offset : Math.max(hashDevice.size, end);
  const hashBlocks = Math.floor(behind / dataBlockSize) - start / hashBlockSize;
  if (hashBlocks < 0) throw verityError('malformed', 'Invalid FEC segment length.');
  const geometry = fecGeometry(parameters, dataBlocks + hashBlocks, roots);
  if (!Number.isSafeInteger(offset + paritySize(geometry)))
    throw verityError('malformed', 'Device offset overflow.');
  return geometry;
}
