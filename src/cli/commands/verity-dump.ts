/** `verity dump`: what the superblock of a dm-verity device says, as `veritysetup dump`. @module */
import { closeSync } from 'node:fs';
import { type ByteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { formatUuid } from '../../core/bytes/uuid.ts';
import { describeDevice } from '../../core/dm-verity/describe.ts';
import { paritySize } from '../../core/dm-verity/fec.ts';
import { type DmVerityLayout, dmVerityLayout } from '../../core/dm-verity/layout.ts';
import type { Superblock } from '../../core/dm-verity/superblock.ts';
import { SealtreeError } from '../../core/errors.ts';
import type { Device } from '../../node/device.ts';
import { openForReading } from '../../verity/devices.ts';
import { fecCoverage } from '../../verity/fec.ts';
import { openParity, readSuperblock } from '../../verity/verify.ts';
import type { Context, Verb } from '../verb.ts';
import { runAction } from '../verity-action.ts';
import { fecOf, geometryOf, optionsFor } from '../veritysetup-options.ts';

export const verb: Verb = {
  tool: 'veritysetup',
  path: ['verity', 'dump'],
  summary: 'Show what the superblock of a dm-verity device says',
  operands: 'HASH_DEVICE',
  options: optionsFor('dump'),
  examples: ['sealtree verity dump root.hash'],
  run: (context) => runAction('dump', context, () => dump(context)),
};

function dump(context: Context): number {
  const { args, options, stdout } = context;
  const hashPath = args[0] as ByteString;
  const { hashOffset } = geometryOf(options);
  const hash = openForReading(hashPath);
  try {
    const superblock = readSuperblock(hash, hashOffset);
    const layout = layoutOf(superblock, hashOffset);
    const { hashBlockSize } = superblock;
    stdout.text(
      describeDevice({
        hashDevice: displayByteString(hashPath),
        uuid: formatUuid(superblock.uuid),
        parameters: superblock,
        hashOffset,
        firstHashBlock: layout.start / hashBlockSize,
        hashBlocks: (layout.end - layout.start) / hashBlockSize,
        fec: fecLines(context, hash, superblock, layout),
        root: undefined,
      }),
    );
    return 0;
  } finally {
    closeSync(hash.fd);
  }
}

/** Of a superblock that no tree can have, one without a tree. */
function layoutOf(superblock: Superblock, hashOffset: number): DmVerityLayout {
  try {
    return dmVerityLayout(superblock, hashOffset, true);
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    const { start } = dmVerityLayout({ ...superblock, dataBlocks: 1 }, hashOffset, true);
    return { levels: [], start, end: start };
  }
}

function fecLines(
  { options, stderr }: Context,
  hash: Device,
  superblock: Superblock,
  layout: DmVerityLayout,
) {
  const fec = fecOf(options);
  if (fec === undefined) return undefined;
  const device = openParity(fec.path, hash);
  try {
    if (fec.roots === 0) return undefined;
    const onHashDevice = device.identity === hash.identity;
    const geometry = fecCoverage(superblock, { ...layout, end: 0 }, hash, { ...fec, device });
    return { ...fec, blocks: paritySize(geometry) / superblock.hashBlockSize, onHashDevice };
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    stderr.line(error.message);
    return undefined;
  } finally {
    closeSync(device.fd);
  }
}
