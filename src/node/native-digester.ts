/** Digests many files at once in threads of the native part, which reads and hashes without JavaScript. @module */
import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import type { ByteString } from '../core/bytes/byte-string.ts';
import { systemCallError } from '../core/errno.ts';
import { verityParameters } from '../core/verity/descriptor.ts';
import type { FileDigester, FileDigesterOptions } from './file-digester.ts';
import { plainError } from './io-error.ts';
import { type DigesterHandle, type Native, native } from './native.ts';
import { endedEarly, type FileStamp, sizeChanged, timesChanged } from './stable-read.ts';

/** Blocks of the kernel's sizes; the native part has no others. */
const MIN_BLOCK = 1024;
const MAX_BLOCK = 65536;

/** Bytes that may wait for the threads before the calling one helps them, so that what waits does not grow forever. */
const BACKLOG = 2 ** 30;

/** Milliseconds for which the calling thread works and waits before it lets in what else there is, such as a signal. */
const TURN = 50;

/** `enum outcome` of src/native/digester.h. */
const READ = 1;
const FAILED = 2;
const ENDED = 3;
const SIZE_CHANGED = 4;

/** Numbers of a settled file. */
const FIELDS = 4;

/** Undefined if there is no native part, or not for these trees. */
export function makeNativeDigester<Target>(
  options: FileDigesterOptions<Target>,
): NativeDigester<Target> | undefined {
  const part = native();
  if (part === undefined) return undefined;
  const { algorithm, blockSize, salt } = verityParameters(options.verity);
  if (algorithm !== 'sha256' || blockSize < MIN_BLOCK || blockSize > MAX_BLOCK) return undefined;
  const threads = options.pool?.threads ?? availableParallelism();
  const handle = part.digester(blockSize, salt, threads, options.follow === true ? 1 : 0);
  return new NativeDigester(part, handle, options);
}

export class NativeDigester<Target> implements FileDigester<Target> {
  readonly #part: Native;
  readonly #handle: DigesterHandle;
  readonly #options: FileDigesterOptions<Target>;
  /** By the index of a file; undefined again when it is settled. */
  readonly #targets: (Target | undefined)[] = [];
  readonly #sizes: number[] = [];

  constructor(part: Native, handle: DigesterHandle, options: FileDigesterOptions<Target>) {
    this.#part = part;
    this.#handle = handle;
    this.#options = options;
  }

  add(target: Target, place: ByteString, stamp: FileStamp, content = false): void {
    const { size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec } = stamp;
    const index = this.expect(target, size);
    const isContent = content ? 1 : 0;
    this.#part.addFile(this.#handle, index, place, isContent, size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec);
  }

  /** Says whose the next file is that `scan` has added, in the order of its entries. */
  expect(target: Target, size: number): number {
    this.#sizes.push(size);
    return this.#targets.push(target) - 1;
  }

  /** Lists a directory and adds its files: see `Native`. `expect` has to be called for each of them. */
  scan(place: ByteString, flags: number, inode: bigint, device: number): ReturnType<Native['scan']> {
    const high = Number(inode >> 32n);
    const low = Number(inode & 0xffffffffn);
    return this.#part.scan(this.#handle, this.#targets.length, place, flags, high, low, device);
  }

  async turn(): Promise<void> {
    this.#settle();
    if (this.#part.waiting(this.#handle) > BACKLOG) this.#part.help(this.#handle);
  }

  async finish(): Promise<void> {
    let begun = performance.now();
    while (this.#part.help(this.#handle) !== 0) {
      this.#settle();
      if (performance.now() - begun < TURN) continue;
      await setImmediate();
      begun = performance.now();
    }
    this.#settle();
  }

  async close(): Promise<void> {
    this.#part.close(this.#handle);
  }

  #settle(): void {
    const settled = this.#part.settled(this.#handle);
    if (settled === undefined) return;
    const numbers = new Float64Array(settled[0]);
    let failed = Number.POSITIVE_INFINITY;
    let failure: unknown;
    for (let i = 1, at = 0; i < settled.length; i++, at += FIELDS) {
      const index = numbers[at] as number;
      const outcome = numbers[at + 1] as number;
      const target = this.#targets[index] as Target;
      this.#targets[index] = undefined;
      if (outcome <= READ) this.#options.settle(target, settled[i] as ByteString);
      else if (index < failed) {
        failed = index;
        const [value, limit] = [numbers[at + 2] as number, numbers[at + 3] as number];
        failure = this.#options.refuse(target, errorOf(outcome, value, limit, this.#sizes[index] as number));
      }
    }
    if (failed < Number.POSITIVE_INFINITY) throw failure;
  }
}

function errorOf(outcome: number, value: number, limit: number, size: number): unknown {
  switch (outcome) {
    case FAILED:
      return plainError(systemCallError('read', value));
    case ENDED:
      return endedEarly(value, limit);
    case SIZE_CHANGED:
      return sizeChanged(value, size);
    default:
      return timesChanged();
  }
}
