/** `fsverity measure`: what the kernel enforces on files. @module */
import { byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { hexOf } from '../../core/bytes/hex.ts';
import { ioError } from '../../node/io-error.ts';
import { queryVerity } from '../../node/syscalls.ts';
import { withFile } from '../fsverity-options.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'fsverity',
  path: ['fsverity', 'measure'],
  summary: 'Display the fs-verity digest that the kernel enforces on files',
  operands: 'FILE…',
  options: [],
  examples: ['sealtree fsverity measure image.cfs'],
  run,
};

function run({ args, stdout }: Context): void {
  if (args.length === 0) throw usageError('');
  for (const path of args) {
    const { algorithm, digest } = withFile(path, (fd) => {
      try {
        return queryVerity(fd);
      } catch (error) {
        throw ioError(`FS_IOC_MEASURE_VERITY failed on '${displayByteString(path)}'`, error);
      }
    });
    stdout.write(byteString(`${algorithm}:${hexOf(digest)} ${path}\n`));
  }
}
