import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { bytesFromHex, hexOf } from '../../../src/core/bytes/hex.ts';
import { portableHash } from '../../../src/core/hash.ts';
import {
  type Commit,
  decodeCommit,
  encodeCommit,
  type MetadataEntry,
} from '../../../src/core/ostree/commit.ts';
import { encodeCommitmeta, withSignature } from '../../../src/core/ostree/commitmeta.ts';
import { COMPOSEFS_DIGEST_KEY, COMPOSEFS_KEY, composefsValue } from '../../../src/core/ostree/metadata.ts';
import { type PublicKey, parsePublicKey } from '../../../src/core/sign/keys.ts';
import { type CommitEvidence, decideCommit } from '../../../src/core/verify/commit.ts';
import { secretFromBase64 } from '../../../src/node/secret.ts';
import { GOLDEN_TREES, goldenCommits } from '../../golden-repo.ts';

const SIGNATURES = byteString('ostree.sign.ed25519');

function keyFile(name: string): { public_hex: string; secret_hex: string } {
  return JSON.parse(readFileSync(new URL(`../../vectors/ostree/keys/${name}.json`, import.meta.url), 'utf8'));
}

function publicKey(name: string): PublicKey {
  return parsePublicKey(
    byteString(Buffer.from(keyFile(name).public_hex, 'hex').toString('base64')),
    `${name}.public`,
  );
}

const [A, B, WRONG] = ['a', 'b', 'wrong'].map(publicKey) as [PublicKey, PublicKey, PublicKey];

function golden(tree: string, variant?: (digest: string | null) => boolean): CommitEvidence[] {
  return [...goldenCommits(tree)]
    .filter(([, { composefs_digest_v0 }]) => variant?.(composefs_digest_v0) ?? true)
    .map(([checksum, { commit_hex, commitmeta_hex }]) => ({
      checksum,
      data: bytesFromHex(commit_hex),
      detached: commitmeta_hex === undefined ? undefined : bytesFromHex(commitmeta_hex),
    }));
}

const decide = (evidence: CommitEvidence, keys = [A], signed = true, base?: CommitEvidence) =>
  decideCommit(evidence, () => base, { signed, keys }, portableHash);

const statuses = (decision: ReturnType<typeof decide>) =>
  Object.fromEntries(decision.checks.map(({ name, status }) => [name, status]));

const failures = (decision: ReturnType<typeof decide>) =>
  decision.checks.filter(({ status }) => status === 'failed').map(({ message }) => message);

/** A commit of ours, signed with key a unless told otherwise. */
function makeCommit(metadata: readonly MetadataEntry[], parent?: string, sign = true): CommitEvidence {
  const commit: Commit = {
    metadata,
    parent,
    subject: byteString('test'),
    body: byteString(''),
    timestamp: 1n,
    rootDirtree: '1'.repeat(64),
    rootDirmeta: '2'.repeat(64),
  };
  const data = encodeCommit(commit);
  const checksum = hexOf(portableHash.digest('sha256', data));
  return { checksum, data, detached: sign ? signatureOf(data) : undefined };
}

function signatureOf(data: Uint8Array): Uint8Array {
  return encodeCommitmeta(withSignature([], SIGNATURES, signatureBy('a', data)));
}

function signatureBy(name: string, data: Uint8Array): Uint8Array {
  const secret = secretFromBase64(
    byteString(Buffer.from(keyFile(name).secret_hex, 'hex').toString('base64')),
  );
  try {
    return secret.sign(data);
  } finally {
    secret.destroy();
  }
}

const digest = (digit: string) => composefsValue(digit.repeat(64));

describe('decideCommit', () => {
  it.each(GOLDEN_TREES)('accepts the signed commits of the real tool: %s', (tree) => {
    const commits = golden(tree, (found) => found !== null);
    expect(commits.length).toBeGreaterThan(2);
    for (const evidence of commits) {
      const decision = decide(evidence);
      expect(failures(decision)).toEqual([]);
      expect(decision.signer).toBe(A);
      expect(decision.digest).toBe(goldenCommits(tree).get(evidence.checksum)?.composefs_digest_v0);
    }
  });

  it('takes any one of several keys, and says which it was', () => {
    const child = golden('basic').at(-1) as CommitEvidence;
    expect(decide(child, [WRONG, B]).signer).toBe(B);
    expect(failures(decide(child, [WRONG]))).toEqual(['No valid (of 2) signatures found']);
  });

  it('needs a digest where a signature is demanded', () => {
    const [plain] = golden('basic', (found) => found === null) as [CommitEvidence];
    expect(failures(decide(plain))).toEqual([
      'Signature validation requested, but no valid digest in commit',
    ]);
    expect(statuses(decide(plain, [], false))).toEqual({
      signature: 'skipped',
      'commit name': 'passed',
      'composefs digest': 'skipped',
    });
  });

  it('refuses a commit without signatures', () => {
    const [first] = golden('basic') as [CommitEvidence];
    expect(failures(decide({ ...first, detached: undefined }))).toContain(
      `No commitmeta for commit ${first.checksum}`,
    );
    expect(failures(decide({ ...first, detached: encodeCommitmeta([]) }))).toContain(
      'Signature validation requested, but no signatures in commit',
    );
    expect(statuses(decide({ ...first, detached: bytesFromHex('00ff') })).signature).toBe('failed');
    const short = encodeCommitmeta(withSignature([], SIGNATURES, new Uint8Array(63)));
    expect(failures(decide({ ...first, detached: short }))[0]).toContain(
      'signature verification failed: Invalid signature: Ill-formed input: expected 64 bytes, got 63 bytes',
    );
  });

  it('refuses a good commit under the name of another', () => {
    const [one, other] = golden('basic', (found) => found !== null) as [CommitEvidence, CommitEvidence];
    const decision = decide({ ...one, checksum: other.checksum });
    expect(statuses(decision)).toEqual({
      signature: 'passed',
      'commit name': 'failed',
      'composefs digest': 'passed',
    });
    expect(failures(decision)).toEqual([
      `commit ${other.checksum} has the content of commit ${one.checksum}`,
    ]);
  });

  it('refuses a commit in which any one bit is another', () => {
    const evidence = golden('basic', (found) => found !== null)[0] as CommitEvidence;
    fc.assert(
      fc.property(fc.nat(evidence.data.length - 1), fc.nat(7), (at, bit) => {
        const data = evidence.data.slice();
        data[at] = (data[at] as number) ^ (1 << bit);
        expect(statuses(decide({ ...evidence, data }))).toMatchObject({
          signature: 'failed',
          'commit name': 'failed',
        });
      }),
      { numRuns: 30 },
    );
  });

  it('tries no more than 64 signatures', () => {
    const evidence = makeCommit([[COMPOSEFS_KEY, digest('a')]]);
    const junk = Array.from({ length: 64 }, () => new Uint8Array(64));
    const entries = [...junk].reduce<MetadataEntry[]>(
      (list, one) => withSignature(list, SIGNATURES, one),
      [],
    );
    const signature = signatureBy('a', evidence.data);
    const decision = decide({
      ...evidence,
      detached: encodeCommitmeta(withSignature(entries, SIGNATURES, signature)),
    });
    expect(failures(decision)).toEqual([
      'No valid (of 65) signatures found, the first 64 of which were tried',
    ]);
  });

  describe('finds the digest', () => {
    it('under either key', () => {
      for (const key of [COMPOSEFS_KEY, COMPOSEFS_DIGEST_KEY]) {
        const decision = decide(makeCommit([[key, digest('a')]]));
        expect(failures(decision)).toEqual([]);
        expect(decision.digest).toBe('a'.repeat(64));
      }
    });

    it('under both if they agree', () => {
      const entries: MetadataEntry[] = [
        [COMPOSEFS_DIGEST_KEY, digest('a')],
        [COMPOSEFS_KEY, digest('a')],
      ];
      expect(failures(decide(makeCommit(entries)))).toEqual([]);
    });

    it.each<[string, MetadataEntry[], string]>([
      [
        'two that differ',
        [
          [COMPOSEFS_DIGEST_KEY, digest('a')],
          [COMPOSEFS_KEY, digest('b')],
        ],
        'but ostree.composefs.digest.v0 says',
      ],
      ['another type', [[COMPOSEFS_KEY, { type: 's', value: byteString('a') }]], 'type is s, expected ay'],
      ['another length', [[COMPOSEFS_KEY, { type: 'ay', value: new Uint8Array(31) }]], 'has the wrong size'],
      [
        'one key twice',
        [
          [COMPOSEFS_KEY, digest('a')],
          [COMPOSEFS_KEY, digest('a')],
        ],
        'stands twice',
      ],
    ])('and refuses %s', (_, entries, message) => {
      for (const signed of [true, false]) {
        const decision = decide(makeCommit(entries), [A], signed);
        expect(failures(decision).join()).toContain(message);
        expect(decision.digest).toBeUndefined();
      }
    });
  });

  describe('of a commit that bootc made', () => {
    const image: MetadataEntry = [
      byteString('ostree.container.image-config'),
      { type: 's', value: byteString('{}') },
    ];
    const base = makeCommit([[COMPOSEFS_KEY, digest('b')]]);

    it('takes signature and digest from its signed parent', () => {
      const decision = decide(
        makeCommit([image, [COMPOSEFS_KEY, digest('a')]], base.checksum, false),
        [A],
        true,
        base,
      );
      expect(failures(decision)).toEqual([]);
      expect(decision.digest).toBe('b'.repeat(64));
      expect(decision.commit?.parent).toBe(base.checksum);
    });

    it('does not where it has signatures of its own, or is no such commit, or the parent has none', () => {
      const own = makeCommit([image, [COMPOSEFS_KEY, digest('a')]], base.checksum);
      expect(decide(own, [A], true, base).digest).toBe('a'.repeat(64));
      const ordinary = makeCommit([[COMPOSEFS_KEY, digest('a')]], base.checksum, false);
      expect(statuses(decide(ordinary, [A], true, base)).signature).toBe('failed');
      const bootc = makeCommit([image], base.checksum, false);
      expect(statuses(decide(bootc, [A], true, { ...base, detached: undefined })).signature).toBe('failed');
    });
  });

  it('says what is wrong with a commit that is none', () => {
    const decision = decide(
      { checksum: '0'.repeat(64), data: bytesFromHex('00'), detached: undefined },
      [],
      false,
    );
    expect(decision.commit).toBeUndefined();
    expect(statuses(decision)['composefs digest']).toBe('failed');
    expect(() => decodeCommit(bytesFromHex('00'), 'x')).toThrow();
  });
});
