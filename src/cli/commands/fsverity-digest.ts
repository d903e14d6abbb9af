/** `fsverity digest`: what the kernel would measure of files, computed here. @module */
import { closeSync, openSync, writeSync } from 'node:fs';
import { type ByteString, byteString, bytesOf, displayByteString } from '../../core/bytes/byte-string.ts';
import { hexOf } from '../../core/bytes/hex.ts';
import { systemCallError } from '../../core/errno.ts';
import { SealtreeError } from '../../core/errors.ts';
import { DIGEST_SIZE, type HashName } from '../../core/hash.ts';
import {
  HASH_ALGORITHM_NUMBER,
  type VerityParameters,
  verityParameters,
} from '../../core/verity/descriptor.ts';
import { VerityHash, verityDigest } from '../../core/verity/digest.ts';
import { treeOffsets } from '../../core/verity/merkle.ts';
import { writeAll } from '../../node/atomic-file.ts';
import { makeFileDigester } from '../../node/file-digester.ts';
import { fsPath } from '../../node/fs-path.ts';
import { opensslHash } from '../../node/hash.ts';
import { ioError } from '../../node/io-error.ts';
import { checkUnchanged, readRange } from '../../node/stable-read.ts';
import { type FileStatus, statAt } from '../../node/syscalls.ts';
import { onlyValue, TREE_OPTIONS, treeParameters, withFile } from '../fsverity-options.ts';
import { usageError } from '../usage.ts';
import type { Context, OptionValues, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'fsverity',
  path: ['fsverity', 'digest'],
  summary: 'Compute the fs-verity digest of files',
  operands: 'FILE…',
  options: [
    ...TREE_OPTIONS,
    {
      flags: '--out-merkle-tree <file>',
      description: 'write the Merkle tree to this file, its root block first',
    },
    { flags: '--out-descriptor <file>', description: 'write the fs-verity descriptor to this file' },
    { flags: '--compact', description: 'print nothing but the digest' },
    {
      flags: '--for-builtin-sig',
      description: "print what the kernel's built-in signatures sign, in hexadecimal",
    },
  ],
  examples: [
    'sealtree fsverity digest image.cfs',
    'sealtree fsverity digest --hash-alg=sha512 --compact image.cfs',
  ],
  run,
};

async function run({ args, options, stdout }: Context): Promise<void> {
  const given = treeParameters(options);
  const out = openOutputs(options);
  try {
    if (args.length === 0) throw usageError('');
    withFile(args[0] as ByteString, () => {});
    const parameters = computable(given);
    const print = (path: ByteString, digest: ByteString) =>
      stdout.write(line(path, digest, parameters, options));
    if (out.tree === undefined && out.descriptor === undefined) await digestAll(args, parameters, print);
    else for (const path of args) print(path, digestWithOutputs(path, parameters, out));
  } finally {
    for (const fd of Object.values(out)) if (fd !== undefined) closeSync(fd);
  }
}

/** The parameters, if trees can be made with them. */
function computable(given: VerityParameters): VerityParameters {
  try {
    return verityParameters(given);
  } catch (error) {
    throw failed(error instanceof Error ? error.message : String(error));
  }
}

/**
 * Digests all files at once and prints in order. Before a failure stands what came before it.
 */
async function digestAll(
  paths: readonly ByteString[],
  parameters: VerityParameters,
  print: (path: ByteString, digest: ByteString) => void,
): Promise<void> {
  const digests: ByteString[] = [];
  const empty = byteString(hexOf(verityDigest(opensslHash, new Uint8Array(0), parameters)));
  let failure: unknown;
  const digester = makeFileDigester<number>({
    verity: parameters,
    follow: true,
    settle: (index, digest) => {
      digests[index] = digest;
    },
    refuse: (index, error) => readFailure(paths[index] as ByteString, error),
  });
  try {
    for (const [index, path] of paths.entries()) {
      const status = statusOf(path);
      if (status.size === 0) digests[index] = empty;
      else digester.add(index, path, status);
    }
  } catch (error) {
    failure = error;
  }
  try {
    await digester.finish();
  } catch (error) {
    failure = error;
  } finally {
    await digester.close();
  }
  for (let i = 0; digests[i] !== undefined; i++) print(paths[i] as ByteString, digests[i] as ByteString);
  if (failure !== undefined) throw failure;
}

function statusOf(path: ByteString): FileStatus {
  const status = withFile(path, (fd) => statAt(fd, byteString('')));
  if ((status.mode & 0o170000) === 0o040000) throw readFailure(path, systemCallError('read', 'EISDIR'));
  return status;
}

interface Outputs {
  readonly tree: number | undefined;
  readonly descriptor: number | undefined;
}

function openOutputs(options: OptionValues): Outputs {
  const open = (name: string): number | undefined => {
    const path = onlyValue(options, name);
    if (path === undefined) return undefined;
    try {
      return openSync(fsPath(path), 'w');
    } catch (error) {
      throw usageError(ioError(`can't open '${displayByteString(path)}' for writing`, error).message);
    }
  };
  return { tree: open('out-merkle-tree'), descriptor: open('out-descriptor') };
}

/** Digests one file and writes its tree and descriptor on the way. */
function digestWithOutputs(
  path: ByteString,
  parameters: VerityParameters,
  { tree, descriptor }: Outputs,
): ByteString {
  return withFile(path, (fd) => {
    const status = statAt(fd, byteString(''));
    const offsets = treeOffsets(status.size, parameters);
    const hash = new VerityHash(opensslHash, parameters, (level, index, block) => {
      if (tree !== undefined) writeAt(tree, block, (offsets[level] as number) + index * parameters.blockSize);
    });
    try {
      readRange(fd, 0, status.size, Buffer.allocUnsafe(1024 * 1024), (piece) => hash.update(piece));
      checkUnchanged(fd, status);
    } catch (error) {
      throw readFailure(path, error);
    }
    const bytes = hash.descriptor();
    if (descriptor !== undefined) writeAll(descriptor, bytes);
    return byteString(hexOf(opensslHash.digest(parameters.algorithm, bytes)));
  });
}

function writeAt(fd: number, data: Uint8Array, offset: number): void {
  for (let at = 0; at < data.length; ) at += writeSync(fd, data, at, data.length - at, offset + at);
}

function readFailure(path: ByteString, error: unknown): SealtreeError {
  const reading = ioError(`reading from '${displayByteString(path)}'`, error);
  return failed(`${reading.message}\nERROR: error reading file`);
}

function failed(message: string): SealtreeError {
  return new SealtreeError('io', `${message}\nERROR: failed to compute digest`);
}

function line(
  path: ByteString,
  digest: ByteString,
  { algorithm }: VerityParameters,
  options: OptionValues,
): ByteString {
  let text = `${algorithm}:${digest}`;
  if (options.has('compact')) text = digest;
  if (options.has('for-builtin-sig')) text = hexOf(builtinSignatureHeader(algorithm)) + digest;
  return byteString(options.has('compact') ? `${text}\n` : `${text} ${path}\n`);
}

/** What stands before the digest in `struct fsverity_formatted_digest`. */
function builtinSignatureHeader(algorithm: HashName): Uint8Array {
  const header = new Uint8Array([...bytesOf(byteString('FSVerity')), 0, 0, 0, 0]);
  const view = new DataView(header.buffer);
  view.setUint16(8, HASH_ALGORITHM_NUMBER[algorithm], true);
  view.setUint16(10, DIGEST_SIZE[algorithm], true);
  return header;
}
