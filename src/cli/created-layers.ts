/** What was made of layers, in the words of dmverity-vhd. @module */
import { displayByteString } from '../core/bytes/byte-string.ts';
import type { CreatedLayer } from '../layer/named-files.ts';
import type { Output } from './output.ts';

/** @param what `Layer` or `Directory` */
export function printCreated(stdout: Output, what: string, layers: readonly CreatedLayer[]): void {
  for (const { hash } of layers) {
    if (hash !== undefined) stdout.line(`hash device created at ${displayByteString(hash)}`);
  }
  for (const { data } of layers) stdout.line(`${what} VHD created at ${displayByteString(data)}`);
}
