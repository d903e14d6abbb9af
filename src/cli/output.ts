/** Standard output and standard error as byte sinks. @module */
import { writeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { type ByteString, utf8ByteString } from '../core/bytes/byte-string.ts';

const LIMIT = 64 * 1024;

export class Output {
  readonly #descriptor: number;
  #pending = '';

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  get isTerminal(): boolean {
    return isatty(this.#descriptor);
  }

  /** Raw bytes, one for each character. */
  write(text: ByteString): void {
    this.#pending += text;
    if (this.#pending.length >= LIMIT) this.flush();
  }

  /** Text, encoded as UTF-8, and a newline. */
  line(text: string): void {
    this.write(utf8ByteString(`${text}\n`));
  }

  /** Binary data as it is. */
  writeBytes(data: Uint8Array): void {
    this.flush();
    writeAll(this.#descriptor, data);
  }

  flush(): void {
    if (this.#pending === '') return;
    const data = Buffer.from(this.#pending, 'latin1');
    this.#pending = '';
    writeAll(this.#descriptor, data);
  }
}

function writeAll(descriptor: number, data: Uint8Array): void {
  let at = 0;
  while (at < data.length) {
    try {
      at += writeSync(descriptor, data, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
        continue;
      }
      throw error;
    }
  }
}
