/** `fsverity enable`: makes the kernel guard a file. @module */
import { fstatSync } from 'node:fs';
import { type ByteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { SealtreeError } from '../../core/errors.ts';
import { ioError } from '../../node/io-error.ts';
import { readRange } from '../../node/stable-read.ts';
import { enableVerity } from '../../node/syscalls.ts';
import { onlyValue, TREE_OPTIONS, treeParameters, withFile } from '../fsverity-options.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'fsverity',
  path: ['fsverity', 'enable'],
  summary: 'Enable fs-verity on a file',
  operands: 'FILE',
  options: [
    ...TREE_OPTIONS,
    { flags: '--signature <sigfile>', description: "PKCS #7 signature for the kernel's own check" },
  ],
  examples: ['sealtree fsverity enable image.cfs'],
  run,
};

/** What fsverity reads at most; the kernel takes less. */
const MAX_SIGNATURE_SIZE = 1_000_000;

function run({ args, options }: Context): void {
  const parameters = treeParameters(options);
  const signatureFile = onlyValue(options, 'signature');
  const [path] = args;
  if (path === undefined || args.length > 1) throw usageError('');
  const signature = signatureFile === undefined ? undefined : readSignature(signatureFile);
  withFile(path, (fd) => {
    try {
      enableVerity(fd, parameters, signature);
    } catch (error) {
      throw ioError(`FS_IOC_ENABLE_VERITY failed on '${displayByteString(path)}'`, error);
    }
  });
}

function readSignature(path: ByteString): Uint8Array {
  const name = displayByteString(path);
  return withFile(path, (fd) => {
    const { size } = fstatSync(fd);
    if (size === 0) throw new SealtreeError('malformed', `signature file '${name}' is empty`);
    if (size > MAX_SIGNATURE_SIZE)
      throw new SealtreeError('malformed', `signature file '${name}' is too large`);
    const signature = Buffer.alloc(size);
    try {
      readRange(fd, 0, size, signature, () => {});
    } catch (error) {
      throw ioError(`reading from '${name}'`, error);
    }
    return signature;
  });
}
