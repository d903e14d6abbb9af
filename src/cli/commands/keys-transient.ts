/** `sealtree keys transient`: runs a command that may sign with a key which dies with it. @module */
import { spawn } from 'node:child_process';
import { closeSync, ftruncateSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { type ByteString, bytesOf, decodeUtf8, displayByteString } from '../../core/bytes/byte-string.ts';
import { SealtreeError } from '../../core/errors.ts';
import { encodePublicKey, SEED_SIZE } from '../../core/sign/keys.ts';
import { writeFileAtomically } from '../../node/atomic-file.ts';
import { ioError, isErrno } from '../../node/io-error.ts';
import { encodeSecretKey, makeSecretKey } from '../../node/secret.ts';
import { forbidDumps, openMemoryFile } from '../../node/secret-memory.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

/** Where the command finds the secret, and the variable that says so. */
const DESCRIPTOR = 3;
const DESCRIPTOR_VARIABLE = 'SEALTREE_SIGN_FD';

/** Status of env(1) and shells for a command that cannot be run, or is not there. */
const CANNOT_RUN = 126;
const NOT_FOUND = 127;

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;

export const verb: Verb = {
  tool: 'sealtree',
  path: ['keys', 'transient'],
  summary: 'run a command that signs with a key made for it alone',
  operands: '-- COMMAND…',
  runsCommand: true,
  options: [{ flags: '--public <file>', description: 'where to write the public half of the key' }],
  examples: [
    'sealtree keys transient --public=initramfs-root-binding.key -- sh -c \'./build-tree tree && sealtree commit --repo=repo --branch=os --generate-composefs-metadata --sign-fd="$SEALTREE_SIGN_FD" tree\'',
  ],
  description: [
    `Makes an Ed25519 pair in memory, writes the public half to FILE in ostree's key file format, and runs COMMAND. COMMAND inherits the secret on a file descriptor whose number is in the environment variable ${DESCRIPTOR_VARIABLE}; \`commit --sign-fd\` and \`sign --keys-fd\` read it, as often as they like. When COMMAND ends the secret is overwritten. It is never in a file with a name, in an argument list or in an environment variable.`,
    'The exit status is that of COMMAND; signals are passed on to it, and a signal that ends COMMAND ends this program as well. 127 means that there is no such command, 126 that it cannot be run.',
    'The public key has to be in the initramfs before the tree with the initramfs is committed, which is why the key comes first and COMMAND builds, commits and signs.',
  ],
  run,
};

async function run({ args, options, stdout, stderr }: Context): Promise<number> {
  const file = options.value('public');
  if (file === undefined) throw usageError('keys transient needs --public=FILE');
  const [command, ...words] = args.map(text);
  if (command === undefined) throw usageError('keys transient needs a COMMAND after --');
  const allowDumps = forbidDumps();
  const secret = openMemoryFile();
  try {
    const { publicKey, size } = fill(secret);
    writeFileAtomically(file, bytesOf(encodePublicKey(publicKey)));
    stdout.flush();
    try {
      const { code, signal } = await runWith(secret, command, words);
      forget(secret, size);
      return signal === null ? (code ?? 0) : endBySignal(signal);
    } catch (error) {
      forget(secret, size);
      if (!isErrno(error, 'ENOENT', 'EACCES', 'ENOEXEC', 'ENOTDIR')) throw error;
      stderr.line(`sealtree: ${ioError(command, error).message}`);
      return isErrno(error, 'ENOENT') ? NOT_FOUND : CANNOT_RUN;
    }
  } finally {
    closeSync(secret);
    allowDumps();
  }
}

/** Puts a new key's line at the start of the file, whose offset stays there for a command that just reads it. */
function fill(secret: number): { publicKey: Uint8Array; size: number } {
  const key = makeSecretKey();
  const line = encodeSecretKey(key);
  const publicKey = key.slice(SEED_SIZE);
  key.fill(0);
  writeSync(secret, line, 0, line.length, 0);
  line.fill(0);
  return { publicKey, size: line.length };
}

/** Overwrites the key, for those who still hold the descriptor as well. */
function forget(secret: number, size: number): void {
  writeSync(secret, new Uint8Array(size), 0, size, 0);
  ftruncateSync(secret, 0);
}

function runWith(
  secret: number,
  command: string,
  words: readonly string[],
): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, {
      stdio: ['inherit', 'inherit', 'inherit', secret],
      env: { ...process.env, [DESCRIPTOR_VARIABLE]: String(DESCRIPTOR) },
    });
    const forward = (signal: NodeJS.Signals) => void child.kill(signal);
    for (const signal of FORWARDED) process.on(signal, forward);
    const ended = () => {
      for (const signal of FORWARDED) process.off(signal, forward);
    };
    child.once('error', (error) => {
      ended();
      reject(error);
    });
    child.once('exit', (code, signal) => {
      ended();
      resolve({ code, signal });
    });
  });
}

/** Dies as the command did, so that the caller's shell sees the same. */
function endBySignal(signal: NodeJS.Signals): number {
  process.kill(process.pid, signal);
  return 128 + constants.signals[signal];
}

function text(word: ByteString, index: number): string {
  const decoded = decodeUtf8(word);
  if (decoded !== undefined) return decoded;
  const shown = displayByteString(word);
  throw new SealtreeError('unsupported', `word ${index + 1} of the command is not UTF-8: ${shown}`);
}
