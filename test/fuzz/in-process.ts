/** Runs verbs within the test: a process for each of thousands of calls would take minutes. @module */

import { findVerb } from '../../src/cli/find-verb.ts';
import { Output } from '../../src/cli/output.ts';
import { parse } from '../../src/cli/program.ts';
import { type ByteString, byteString, utf8ByteString } from '../../src/core/bytes/byte-string.ts';
import { SealtreeError } from '../../src/core/errors.ts';

export interface Outcome {
  readonly stdout: ByteString;
  readonly stderr: ByteString;
  readonly status: number;
}

class Captured extends Output {
  all = '';

  override write(text: ByteString): void {
    this.all += text;
  }

  override writeBytes(data: Uint8Array): void {
    this.all += Buffer.from(data).toString('latin1');
  }

  override flush(): void {}

  override get isTerminal(): boolean {
    return false;
  }
}

/** Runs a verb of ostree as the program called `ostree` would. */
export function runOstree(words: readonly string[]): Promise<Outcome> {
  return runProgram('ostree', words);
}

/**
 * Runs a verb as the program would that is called by this name.
 *
 * @throws any error that is not a refusal
 */
export async function runProgram(program: 'ostree' | 'sealtree', words: readonly string[]): Promise<Outcome> {
  const stdout = new Captured(1);
  const stderr = new Captured(2);
  let status = 0;
  try {
    const found = await findVerb(program, words.map(utf8ByteString));
    if (found.verb === undefined) throw found.wanted;
    const parsed = await parse(found.verb, found.program, found.words);
    if (typeof parsed === 'string') throw new Error(`asked for ${parsed}`);
    status = (await found.verb.run({ program: found.program, ...parsed, stdout, stderr })) ?? 0;
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    stderr.line(`error: ${error.message}`);
    status = 1;
  }
  return { stdout: byteString(stdout.all), stderr: byteString(stderr.all), status };
}
