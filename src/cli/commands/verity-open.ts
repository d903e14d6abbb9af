/** `verity open`: lets the kernel make a verified block device, as `veritysetup open`. @module */
import { type ByteString, byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { hexOf } from '../../core/bytes/hex.ts';
import { runVeritysetup } from '../../verity/device-mapper.ts';
import { verityError } from '../../verity/errors.ts';
import { openVerity, storedRoot } from '../../verity/verify.ts';
import type { Context, Verb } from '../verb.ts';
import { checkCall, needRootHash, rootHashOf } from '../verity-action.ts';
import { fecOffsetOf, geometryOf, optionsFor, optionWords } from '../veritysetup-options.ts';

export const verb: Verb = {
  tool: 'veritysetup',
  path: ['verity', 'open'],
  summary: 'Open a dm-verity device, which the kernel verifies as it is read',
  operands: 'DATA_DEVICE NAME HASH_DEVICE [ROOT_HASH]',
  options: optionsFor('open'),
  description: [
    "Looks whether the tree on the hash device is one for the root hash, and has the distribution's veritysetup make /dev/mapper/NAME. A wrong root hash is so refused at once: the kernel would notice it at the first read. Blocks are verified when they are read; a read of one that was changed fails.",
  ],
  examples: ['sealtree verity open root.img root root.hash --root-hash-file=root.txt'],
  run: open,
};

async function open(context: Context): Promise<number> {
  const { args, options } = context;
  checkCall('open', context);
  const [dataPath, name, hashPath, operand] = args as [ByteString, ByteString, ByteString, ByteString?];
  needRootHash(context, operand);
  if (name.includes('/'))
    throw verityError('usage', `Name ${displayByteString(name)} of a device must not have a slash in it.`);
  const root = byteString(hexOf(checkedRoot(context, dataPath, hashPath, operand)));
  // The root hash itself and not its file, which may be another one by then.
  const words = optionWords(options).filter((word) => !word.startsWith('--root-hash-file='));
  return runVeritysetup('open', [...words, byteString('--'), dataPath, name, hashPath, root]);
}

/** The root hash, if it is the tree's. With error correction, or where changed data is to be read all the same, a changed tree is no reason to refuse. */
function checkedRoot(
  context: Context,
  dataPath: ByteString,
  hashPath: ByteString,
  operand: ByteString | undefined,
): Uint8Array {
  const { options } = context;
  const device = openVerity(dataPath, hashPath, geometryOf(options), fecOffsetOf(options));
  try {
    const root = rootHashOf(context, operand, device.parameters.digestSize);
    if (options.has('fec-device') || options.has('ignore-corruption')) return root;
    const stored = storedRoot(device);
    if (stored?.every((byte, i) => byte === root[i]) !== true)
      throw verityError('mismatch', 'Verification of root hash failed.');
    return root;
  } finally {
    device.close();
  }
}
