/**
 * Seals a root tree: makes a key, puts its public half, the boot program and the policy into the initramfs, the
 * initramfs into the tree, the tree into a commit, signs that, forgets the key, and rehearses the boot.
 * @module
 */
import { type ByteString, byteString, displayByteString, utf8ByteString } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import type { Sealed } from '../core/conf/sealed.ts';
import { SealtreeError } from '../core/errors.ts';
import type { MetadataEntry } from '../core/ostree/commit.ts';
import { encodePublicKey } from '../core/sign/keys.ts';
import type { BootDecision } from '../core/verify/boot-decision.ts';
import { isValid } from '../core/verify/report.ts';
import { removeTree } from '../deploy/files.ts';
import { install } from '../initramfs/install.ts';
import { readTemplate } from '../initramfs/template.ts';
import { temporaryName, writeFileAtomically } from '../node/atomic-file.ts';
import { RootTree } from '../node/root-tree.ts';
import { makeSecret } from '../node/secret.ts';
import { nodeSystem } from '../node/system.ts';
import { forgetTemporary, registerTemporary } from '../node/temporary.ts';
import type { Repo } from '../repo/repo.ts';
import { verifyCommit } from '../repo/verify-target.ts';
import { type CommittedTree, commitTree, publish } from './commit-tree.ts';
import { type Generator, makeInitramfs } from './make-initramfs.ts';
import { beginWork, copyRoot, endWork, maskExtensions, settleKernel } from './prepare-tree.ts';
import { rehearseBoot } from './rehearse.ts';
import { makeUki } from './uki.ts';

export interface SealRequest {
  /** Absolute. */
  readonly root: ByteString;
  /** Whether the tree itself is changed, instead of a copy. */
  readonly inPlace: boolean;
  readonly repo: Repo;
  readonly branch: ByteString;
  readonly subject: ByteString;
  readonly metadata: readonly MetadataEntry[];
  /** Seconds since 1970. */
  readonly timestamp: bigint;
  /** Gives the boot program; asked when the tree is there. */
  readonly program: (tree: RootTree) => Promise<Uint8Array>;
  readonly sealed: Omit<Sealed, 'trusted'>;
  readonly generator: Generator | undefined;
  readonly initramfs: ByteString | undefined;
  readonly modules: readonly ByteString[];
  /** Kernel arguments, without `ostree=`. */
  readonly cmdline: ByteString;
  readonly uki:
    | {
        readonly output: ByteString;
        readonly key: ByteString | undefined;
        readonly certificate: ByteString | undefined;
      }
    | undefined;
  /** Where the public key is written to, for whoever verifies later. */
  readonly publicKeyFile: ByteString | undefined;
  readonly say: (text: string) => void;
  readonly onProgress: (entries: number, bytes: number) => void;
}

export interface SealedTree extends CommittedTree {
  /** Version of the kernel. */
  readonly kernel: ByteString;
  /** What made the initramfs. */
  readonly initramfs: string;
  /** Of the key that is gone, 64 hexadecimal digits. */
  readonly publicKey: string;
  /** What the boot will decide. */
  readonly boot: BootDecision;
}

/** @throws SealtreeError `mismatch` if the result is not what a boot demands; the branch has not moved then */
export async function sealTree(request: SealRequest): Promise<SealedTree> {
  if (request.inPlace) return sealIn(request.root, request);
  const copy = temporaryName(request.repo.path);
  registerTemporary(copy, () => removeTree(copy));
  try {
    request.say('copying the tree');
    copyRoot(request.root, copy);
    return await sealIn(copy, request);
  } finally {
    removeTree(copy);
    forgetTemporary(copy);
  }
}

async function sealIn(root: ByteString, request: SealRequest): Promise<SealedTree> {
  const { repo, branch, cmdline, publicKeyFile } = request;
  beginWork(root);
  const kernel = settleKernel(root);
  const secret = makeSecret();
  let made: { initramfs: string; commit: CommittedTree };
  try {
    made = await buildAndCommit(root, kernel, secret, request);
  } finally {
    secret.destroy();
  }
  const { initramfs, commit } = made;
  const boot = await verifyResult(root, kernel, commit, request);
  const { uki } = request;
  if (uki !== undefined) {
    const { output, key, certificate } = uki;
    const secureBoot = key === undefined || certificate === undefined ? undefined : { key, certificate };
    await makeUki({ root, version: kernel, cmdline, output, secureBoot });
  }
  if (publicKeyFile !== undefined) writeFileAtomically(publicKeyFile, encodePublicKey(secret.publicKey));
  publish(repo, branch, commit.checksum);
  return { ...commit, kernel, initramfs, publicKey: hexOf(secret.publicKey), boot };
}

/** What happens between the birth of the key and its end. */
async function buildAndCommit(
  root: ByteString,
  kernel: ByteString,
  secret: ReturnType<typeof makeSecret>,
  request: SealRequest,
): Promise<{ initramfs: string; commit: CommittedTree }> {
  const { repo, sealed, generator, modules, say } = request;
  const key = {
    key: secret.publicKey,
    hex: hexOf(secret.publicKey),
    source: 'the key of this commit',
  };
  const tree = new RootTree(root);
  let initramfs: string;
  try {
    const program = await request.program(tree);
    // What another seal left in the tree is ours, and the key in it is another.
    install(tree, { program, keys: [key], mode: 'signed', sealed, force: true }, readTemplate);
    maskExtensions(root);
    initramfs = await makeInitramfs({
      root,
      tree,
      version: kernel,
      generator,
      file: request.initramfs,
      modules,
      say,
    });
  } finally {
    tree.close();
  }
  endWork(root);
  const { branch, subject, metadata, timestamp, onProgress } = request;
  const commit = await commitTree(
    repo,
    { root, branch, subject, metadata, timestamp, kernel },
    secret,
    onProgress,
  );
  return { initramfs, commit };
}

/** As the boot will, and every object besides: what counts is what is in the repository, not what was meant. */
async function verifyResult(
  root: ByteString,
  kernel: ByteString,
  commit: CommittedTree,
  { repo, cmdline }: SealRequest,
): Promise<BootDecision> {
  const tree = new RootTree(root);
  let image: Uint8Array | undefined;
  try {
    image = tree.read(byteString(`/usr/lib/modules/${kernel}/initramfs.img`), 1024 ** 3)?.data;
  } finally {
    tree.close();
  }
  if (image === undefined)
    throw new SealtreeError('missing', `${displayByteString(root)}: the initramfs is gone`);
  const boot = rehearseBoot(repo, commit, image, cmdline);
  const policy = boot.policy;
  if (policy === undefined) throw new SealtreeError('internal', 'a boot without a policy');
  const found = await verifyCommit(repo, utf8ByteString(commit.checksum), commit.checksum, {
    policy: { config: policy.config, signed: policy.signed, keys: policy.keys },
    system: nodeSystem,
    bootOnly: false,
  });
  if (isValid(found)) return boot;
  const failed = found.checks.find(({ status }) => status === 'failed');
  throw new SealtreeError(
    'mismatch',
    `the sealed commit is not valid: ${failed?.message ?? 'damaged objects'}`,
  );
}
