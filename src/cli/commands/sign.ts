/** `ostree sign`: adds Ed25519 signatures to a commit, or verifies those that it has. @module */
import { statSync } from 'node:fs';
import { type ByteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { SealtreeError } from '../../core/errors.ts';
import { distinct, loadKeysFile, loadTrustedKeys } from '../../core/sign/key-sources.ts';
import { type PublicKey, parsePublicKey } from '../../core/sign/keys.ts';
import { findSigner } from '../../core/verify/signature.ts';
import { fsPath } from '../../node/fs-path.ts';
import { opensslHash } from '../../node/hash.ts';
import { type Secret, secretFromBase64, withEachSecret } from '../../node/secret.ts';
import { nodeSystem } from '../../node/system.ts';
import type { Repo } from '../../repo/repo.ts';
import { addSignatures, readSignatures, signedData } from '../../repo/signatures.ts';
import { descriptorOption } from '../descriptor-option.ts';
import { openRepository } from '../repository.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['sign'],
  summary: 'Sign a commit, or verify its signatures',
  operands: 'COMMIT KEY-ID...',
  options: [
    { flags: '-d, --delete', description: 'Taken for compatibility, does nothing' },
    { flags: '--verify', description: 'Verify the signatures, instead of signing' },
    {
      flags: '-s, --sign-type <name>',
      description: 'Kind of signature; ed25519 is the only one',
      kind: 'text',
    },
    { flags: '--keys-file <name>', description: 'File of keys, one a line', kind: 'text' },
    {
      flags: '--keys-dir <name>',
      description: 'Directory with trusted and revoked keys, in place of those of the system',
      kind: 'text',
    },
    {
      flags: '--keys-fd <n>',
      description: 'Read secret keys, one a line, from an inherited file descriptor',
      ownOnly: true,
    },
    {
      flags: '--sign-fd <n>',
      description: 'The same as --keys-fd: the name that commit has for it',
      ownOnly: true,
    },
  ],
  examples: [
    'sealtree sign --repo=repo --keys-file=build.secret main',
    'sealtree sign --repo=repo --verify --keys-file=build.public main',
  ],
  description: [
    'A secret key is base64 of 64 bytes, a public key base64 of 32 bytes; a file has one key a line. Signing uses every key that is given, and adds to the signatures that the commit has.',
    '--verify succeeds with the first key that verifies a signature. Without keys it uses those of trusted.ed25519 and trusted.ed25519.d in /etc/ostree and /usr/share/ostree that revoked.ed25519 and revoked.ed25519.d do not name; --keys-dir names one directory in place of the two. Verification is strict: what libsodium refuses is refused.',
    '--delete is taken and does nothing, as in ostree.',
    'A secret key in the arguments can be seen by every user of the machine while the program runs: prefer a file or --keys-fd.',
  ],
  run,
};

function run(context: Context): void {
  const { args, options } = context;
  const [rev, ...keys] = args;
  const repo = openRepository(context);
  const descriptors = ['keys-fd', 'sign-fd'].flatMap((name) => descriptorOption(options, name) ?? []);
  if (rev === undefined) throw usageError('Need a COMMIT to sign or verify');
  const verifies = options.has('verify');
  if (!verifies && !options.has('keys-file') && keys.length === 0 && descriptors.length === 0)
    throw usageError('Need at least one KEY-ID to sign with');
  const commit = repo.resolveRev(rev);
  if ((options.value('sign-type') ?? 'ed25519') !== 'ed25519')
    throw new SealtreeError('unsupported', 'Requested signature type is not implemented');
  if (verifies) context.stdout.line(verify(context, repo, commit, keys));
  else sign(context, repo, commit, keys, descriptors);
}

/** Signs with every key before anything is written: a bad key leaves the commit as it was. */
function sign(
  { options }: Context,
  repo: Repo,
  commit: string,
  keys: readonly ByteString[],
  descriptors: readonly number[],
): void {
  const data = signedData(repo, commit);
  const signatures: Uint8Array[] = [];
  const use = (secret: Secret) => void signatures.push(secret.sign(data));
  for (const key of keys) {
    const secret = secretFromBase64(key);
    try {
      use(secret);
    } finally {
      secret.destroy();
    }
  }
  const file = options.value('keys-file');
  if (file !== undefined) {
    requireRegularFile(file);
    withEachSecret(file, use);
  }
  for (const descriptor of descriptors) withEachSecret(descriptor, use);
  addSignatures(repo, commit, signatures);
}

/** What the real tool says of anything else, also of nothing. */
function requireRegularFile(path: ByteString): void {
  const shown = displayByteString(path);
  if (statSync(fsPath(path), { throwIfNoEntry: false })?.isFile() !== true)
    throw new SealtreeError('missing', `File object '${shown}' is not a regular file`, { path: shown });
}

/** @returns the line that says which key it was */
function verify({ options }: Context, repo: Repo, commit: string, words: readonly ByteString[]): string {
  const data = signedData(repo, commit);
  const signatures = readSignatures(repo, commit);
  const file = options.value('keys-file');
  const keys = words.flatMap((word, i) => {
    try {
      return [parsePublicKey(word, `argument ${i + 1}`)];
    } catch {
      return [];
    }
  });
  for (const key of keys) {
    try {
      const signer = signerOf(data, signatures, [key]);
      return success(signer);
    } catch {
      // The next key may be the one; if none is, that is all there is to say.
    }
  }
  if (words.length > 0 && file === undefined)
    throw new SealtreeError('mismatch', 'No valid signatures found', { commit });
  const loaded =
    file === undefined
      ? loadTrustedKeys(nodeSystem, options.value('keys-dir'))
      : [...keys.slice(-1), ...loadKeysFile(nodeSystem, file)];
  // The real tool puts each key it reads before those it has.
  return success(signerOf(data, signatures, distinct(loaded).reverse()));
}

function success(key: PublicKey): string {
  return `ed25519: Signature verified successfully with key '${key.hex}'`;
}

function signerOf(
  data: Uint8Array,
  signatures: readonly Uint8Array[] | undefined,
  keys: readonly PublicKey[],
): PublicKey {
  if (signatures === undefined)
    throw new SealtreeError('mismatch', 'ed25519: commit have no signatures of my type');
  const found = findSigner(data, signatures, keys, opensslHash);
  if ('signer' in found) return found.signer;
  throw new SealtreeError('mismatch', found.refusal, { keys: keys.map((key) => key.hex).join(' ') });
}
