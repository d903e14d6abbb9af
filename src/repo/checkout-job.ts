/** The job that puts files of commits into new directories. @module */
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import type { Dirtree } from '../core/ostree/dirtree.ts';
import type { Perform } from '../node/jobs.ts';
import { FileCheckout } from './checkout-file.ts';
import type { CheckoutOptions } from './checkout-options.ts';
import { Repo } from './repo.ts';

/** Files of one directory. */
export interface CheckoutBatch {
  /** Descriptor, which is the process's, so any thread may use it. */
  readonly directory: number;
  /** Of the directory in the commit, ending in a slash. */
  readonly path: ByteString;
  readonly files: Dirtree['files'];
}

/** @param path of the repository */
export function startJob({ path, options }: { path: ByteString; options: CheckoutOptions }): Perform {
  const repo = Repo.open(path);
  return (batch: CheckoutBatch): void => {
    const files = new FileCheckout(repo, options);
    try {
      for (const { checksum, name } of batch.files) {
        files.checkOut(checksum, batch.directory, name, byteString(batch.path + name));
      }
    } finally {
      files.close();
    }
  };
}
