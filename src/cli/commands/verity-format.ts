/** `verity format`: makes the Merkle tree of a dm-verity device, as `veritysetup format`. @module */
import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { type ByteString, displayByteString, utf8ByteString } from '../../core/bytes/byte-string.ts';
import { hexOf } from '../../core/bytes/hex.ts';
import { describeDevice } from '../../core/dm-verity/describe.ts';
import { paritySize } from '../../core/dm-verity/fec.ts';
import { writeAll, writeFileAtomically } from '../../node/atomic-file.ts';
import { fsPath } from '../../node/fs-path.ts';
import { isErrno } from '../../node/io-error.ts';
import { verityError } from '../../verity/errors.ts';
import { formatVerity } from '../../verity/format.ts';
import type { Context, Verb } from '../verb.ts';
import { runAction } from '../verity-action.ts';
import { fecOf, fecOffsetOf, geometryOf, optionsFor } from '../veritysetup-options.ts';

export const verb: Verb = {
  tool: 'veritysetup',
  path: ['verity', 'format'],
  summary: 'Make the hash tree of a dm-verity device',
  operands: 'DATA_DEVICE HASH_DEVICE',
  options: optionsFor('format'),
  description: [
    'Hashes every block of the data device, writes the Merkle tree with its superblock to the hash device, and prints the root hash, which stands for all of the data. Both may be files, and the same one if the offset of the hashes lies behind the data. With --fec-device Reed-Solomon parity is written too.',
    'A hash or parity file that is not there yet appears as a whole or not at all; one that is there, or a block device, is written in place.',
  ],
  examples: [
    'sealtree verity format root.img root.hash --root-hash-file=root.txt',
    'sealtree verity format --salt=- --uuid=12345678-9abc-def0-1234-56789abcdef0 root.img root.hash',
    'sealtree verity format root.img root.hash --fec-device=root.fec --fec-roots=8',
  ],
  run: (context) => runAction('format', context, () => format(context)),
};

async function format({ args, options, stdout, stderr }: Context): Promise<number> {
  const [dataPath, hashPath] = args as [ByteString, ByteString];
  const uuid = displayByteString(options.value('uuid') ?? utf8ByteString(crypto.randomUUID()));
  const geometry = geometryOf(options);
  const fec = fecOf(options);
  const made = await formatVerity(dataPath, hashPath, {
    ...geometry,
    uuid,
    fecOffset: fecOffsetOf(options),
    fec,
    warn: (message) => stderr.line(message),
  });
  const { parameters, layout, root } = made;
  const { hashBlockSize } = parameters;
  stdout.text(
    describeDevice({
      hashDevice: displayByteString(hashPath),
      uuid: geometry.hasSuperblock ? uuid : '',
      parameters,
      hashOffset: geometry.hashOffset,
      firstHashBlock: layout.start / hashBlockSize,
      hashBlocks: (layout.end - layout.start) / hashBlockSize,
      fec: fec &&
        made.fec && {
          roots: fec.roots,
          offset: fec.offset,
          blocks: paritySize(made.fec.geometry) / hashBlockSize,
          onHashDevice: made.fec.onHashDevice,
        },
      root,
    }),
  );
  const rootHashFile = options.value('root-hash-file');
  if (rootHashFile !== undefined) writeRootHash(rootHashFile, hexOf(root));
  return 0;
}

/** A new file is there as a whole; what is there already, which may be no file, is written in place. */
function writeRootHash(path: ByteString, hex: string): void {
  const text = utf8ByteString(hex);
  const shown = displayByteString(path);
  let fd: number;
  try {
    fd = openSync(fsPath(path), 'r+');
  } catch (error) {
    if (!isErrno(error, 'ENOENT'))
      throw verityError('io', `Cannot create root hash file ${shown} for writing.`);
    try {
      writeFileAtomically(path, text, { mode: 0o600 });
    } catch {
      throw verityError('io', `Cannot create root hash file ${shown} for writing.`);
    }
    return;
  }
  try {
    writeAll(fd, Buffer.from(text, 'latin1'));
    ftruncateSync(fd, text.length);
  } catch (error) {
    if (!isErrno(error, 'EINVAL')) throw verityError('io', `Cannot write to root hash file ${shown}.`);
  } finally {
    closeSync(fd);
  }
}
