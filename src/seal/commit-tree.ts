/** Commits a sealed tree: with its composefs digest, signed by the key of this one commit. @module */
import type { ByteString } from '../core/bytes/byte-string.ts';
import { byteString } from '../core/bytes/byte-string.ts';
import { encodeCommit, type MetadataEntry } from '../core/ostree/commit.ts';
import { encodeCommitmeta, withSignature } from '../core/ostree/commitmeta.ts';
import type { Secret } from '../node/secret.ts';
import { withBindings, withComposefsDigest, withKernel } from '../repo/commit-metadata.ts';
import { findRev } from '../repo/refs.ts';
import type { Repo } from '../repo/repo.ts';
import { ED25519_SIGNATURES_KEY } from '../repo/signatures.ts';
import { Transaction } from '../repo/transaction.ts';
import { CommitSource } from '../source/commit-source.ts';
import { PathRules } from '../source/path-rules.ts';

export interface TreeCommit {
  readonly root: ByteString;
  readonly branch: ByteString;
  readonly subject: ByteString;
  /** `KEY=VALUE` taken apart, in the order in which they were given. */
  readonly metadata: readonly MetadataEntry[];
  /** Seconds since 1970. */
  readonly timestamp: bigint;
  /** Version of the kernel. */
  readonly kernel: ByteString;
}

export interface CommittedTree {
  readonly checksum: string;
  /** fs-verity digest of its image. */
  readonly digest: string;
}

/** The branch stays where it is: {@link publish} moves it once the commit has been verified. */
export async function commitTree(
  repo: Repo,
  commit: TreeCommit,
  secret: Secret,
  onProgress: (entries: number, bytes: number) => void,
): Promise<CommittedTree> {
  const { root, branch, kernel } = commit;
  const transaction = Transaction.begin(repo, { fsync: undefined });
  const canonical = repo.mode === 'bare-user-only';
  const source = new CommitSource(repo, transaction, {
    modifier: {
      uid: undefined,
      gid: undefined,
      readOnlyExecutables: false,
      canonicalPermissions: canonical,
      skipXattrs: canonical || repo.disableXattrs,
    },
    rules: new PathRules(),
    verity: true,
    sizes: false,
    trustLinks: false,
    consume: false,
    cache: true,
    onProgress,
  });
  try {
    await source.addDirectory(root);
    const { dirtree, dirmeta } = source.writeTree();
    const digest = await source.composefsDigest({ dirtree, dirmeta });
    const collectionId = repo.config.get('core', 'collection-id');
    const bound = withBindings(commit.metadata, { refs: [branch], collectionId });
    const data = encodeCommit({
      metadata: withComposefsDigest(withKernel(bound, kernel), digest, 'both'),
      parent: findRev(repo, branch),
      subject: commit.subject,
      body: byteString(''),
      timestamp: commit.timestamp,
      rootDirtree: dirtree,
      rootDirmeta: dirmeta,
    });
    const checksum = transaction.writeMetadata('commit', data);
    const meta = withSignature([], ED25519_SIGNATURES_KEY, secret.sign(data));
    transaction.writeCommitmeta(checksum, encodeCommitmeta(meta));
    transaction.commit();
    source.saveCache();
    return { checksum, digest };
  } finally {
    await source.close();
    transaction.abort();
  }
}

/** Lets the branch lead to the commit. */
export function publish(repo: Repo, branch: ByteString, checksum: string): void {
  const transaction = Transaction.begin(repo, { fsync: undefined });
  try {
    transaction.setRef(branch, checksum);
    transaction.commit();
  } finally {
    transaction.abort();
  }
}
