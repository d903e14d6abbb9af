/** Standard output and standard error as byte sinks. @module */
import { writeSync } from 'node:fs';
import { type ByteString, utf8ByteString } from '../core/bytes/byte-string.ts';
import { ioError } from '../node/io-error.ts';
import { runCleanUps } from '../node/on-exit.ts';

const LIMIT = 64 * 1024;

/** What a shell reports for a program that SIGPIPE ended, which is how the real tools end. */
const BROKEN_PIPE_STATUS = 141;

export class Output {
  readonly #descriptor: number;
  #pending = '';

  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  get isTerminal(): boolean {
    return process.getBuiltinModule('node:tty').isatty(this.#descriptor);
  }

  /** Raw bytes, one for each character. */
  write(text: ByteString): void {
    this.#pending += text;
    if (this.#pending.length >= LIMIT) this.flush();
  }

  /** Text, encoded as UTF-8. */
  text(text: string): void {
    this.write(utf8ByteString(text));
  }

  /** Text, encoded as UTF-8, and a newline. */
  line(text: string): void {
    this.text(`${text}\n`);
  }

  /** Binary data as it is. */
  writeBytes(data: Uint8Array): void {
    this.flush();
    writeAll(this.#descriptor, data);
  }

  /**
   * Ends the program, quietly, if the reader of a pipe has gone.
   *
   * @throws SealtreeError `io` if the output cannot be written, as on a full disk
   */
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
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EAGAIN') {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
      } else if (descriptor === 2) {
        // Nobody is left to be told.
        return;
      } else if (code === 'EPIPE') {
        runCleanUps();
        process.exit(BROKEN_PIPE_STATUS);
      } else {
        throw ioError('writing standard output', error);
      }
    }
  }
}
