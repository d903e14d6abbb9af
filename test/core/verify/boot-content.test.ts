import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { hexOf } from '../../../src/core/bytes/hex.ts';
import { portableHash } from '../../../src/core/hash.ts';
import { encodeCommit } from '../../../src/core/ostree/commit.ts';
import {
  decodeCommitmeta,
  encodeCommitmeta,
  signatures as readSignatures,
  withSignature,
} from '../../../src/core/ostree/commitmeta.ts';
import { COMPOSEFS_DIGEST_KEY, COMPOSEFS_KEY, composefsValue } from '../../../src/core/ostree/metadata.ts';
import {
  addCommit,
  addDeployment,
  COMMIT,
  CONF,
  changed,
  DEPLOYMENT,
  DIGEST,
  decide,
  deploymentAt,
  expectBoot,
  expectRefusal,
  KEY_FILE,
  makeCommit,
  OSTREE,
  objectAt,
  put,
  SIGNED_CONF,
  signatures,
  text,
  VERITY_CONF,
  YES_CONF,
} from '../../boot-tree.ts';
import { goldenKey } from '../../deployed-disk.ts';
import { DIRECTORY, file, type MemoryTree } from '../../memory-system.ts';

const FUSE = 0x65735546;
const TMPFS = 0x01021994;

describe('the key file', () => {
  const keys = (content: string) => decide(put(KEY_FILE, file(content)));
  const [a, b] = [goldenKey('a'), goldenKey('b')];

  it('may have comments, empty lines and several keys', () => {
    expectBoot(keys(`# build key\n\n${a}\n`));
    expectBoot(keys(`${b}\r\n  ${a}\n\n# the end`));
  });

  it('has nothing else in it, before and behind a good key', () => {
    expectRefusal(keys(`nonsense\n${a}\n`), 'keys', 'initramfs-root-binding.key: line 1: not a public key');
    expectRefusal(keys(`${a}\nnonsense\n`), 'keys', 'initramfs-root-binding.key: line 2: not a public key');
    expectRefusal(keys(`${a}\n${a.slice(0, 40)}\n`), 'keys', 'line 2: not a public key');
    expectRefusal(keys(`${a} trailing\n`), 'keys', 'line 1: not a public key');
  });

  it('has no key under which forged signatures verify', () => {
    for (const byte of [0, 1]) {
      const weak = Buffer.alloc(32);
      weak[0] = byte;
      expectRefusal(keys(`${a}\n${weak.toString('base64')}\n`), 'keys', /line 2: public key .* small order/);
    }
  });

  it('is there, is a file and is not empty', () => {
    expectRefusal(keys(''), 'keys', 'public key file specified, but no public keys found');
    expectRefusal(keys('# nothing\n'), 'keys', 'no public keys found');
    expectRefusal(decide(put(KEY_FILE, DIRECTORY)), 'keys', /EISDIR/);
    expectRefusal(decide(put(KEY_FILE, { kind: 'other' })), 'keys', 'not a regular file');
    expectRefusal(decide(changed((tree) => void tree.delete(KEY_FILE))), 'keys', 'No such file or directory');
  });

  it('has at most sixteen keys', () => {
    expectBoot(keys(`${`${b}\n`.repeat(15)}${a}\n`));
    expectRefusal(keys(`${`${b}\n`.repeat(16)}${a}\n`), 'keys', '17 keys, at most 16 are allowed');
  });

  it('is where keypath or keyfile says', () => {
    const at = (conf: string) =>
      decide(
        changed(
          (tree) =>
            void tree
              .set(CONF, file(`${SIGNED_CONF}[composefs]\n${conf}\n`))
              .set('/key', file(`${a}\n`))
              .delete(KEY_FILE),
        ),
      );
    expectBoot(at('keypath=/key'));
    expectBoot(at('keyfile=/key'));
    expectBoot(at('keyfile=/key\nkeypath=/key'));
    expectRefusal(
      at('keyfile=/key\nkeypath=/other'),
      'configuration',
      'composefs.keypath is /other, but composefs.keyfile is /key',
    );
  });
});

describe('the commit', () => {
  const named = (commit: ReturnType<typeof makeCommit>) =>
    decide(
      changed((tree) => addDeployment(tree, commit)),
      `ostree=${deploymentAt(commit.checksum).slice('/sysroot'.length)}`,
    );

  it('is there and signed', () => {
    const { checksum } = COMMIT;
    const without = (type: 'commit' | 'commitmeta') =>
      decide(changed((tree) => void tree.delete(objectAt(checksum, type))));
    expectRefusal(without('commit'), 'signature', 'Failed to open file “/sysroot/ostree/repo/objects/');
    expectRefusal(
      without('commitmeta'),
      'signature',
      `Failed to mount composefs: No commitmeta for deploy ${DEPLOYMENT}`,
    );
    const meta = objectAt(checksum, 'commitmeta');
    expectRefusal(decide(put(meta, file(encodeCommitmeta([])))), 'signature', 'no signatures in commit');
    expectRefusal(
      decide(put(meta, file(signatures(COMMIT.data, ['wrong'])))),
      'signature',
      'No valid (of 1)',
    );
    expectBoot(decide(put(meta, file(signatures(COMMIT.data, ['wrong', 'a'])))));
    const short = withSignature([], byteString('ostree.sign.ed25519'), new Uint8Array(63));
    expectRefusal(
      decide(put(meta, file(encodeCommitmeta(short)))),
      'signature',
      'expected 64 bytes, got 63 bytes',
    );
  });

  it('has at most sixty-four signatures that are tried', () => {
    const key = byteString('ostree.sign.ed25519');
    const junk = (count: number) => Array.from({ length: count }, () => new Uint8Array(64));
    const detached = (count: number) =>
      encodeCommitmeta([
        [key, { type: 'aay', value: [...junk(count), signatureOf(signatures(COMMIT.data, ['a']))] }],
      ]);
    const meta = objectAt(COMMIT.checksum, 'commitmeta');
    expectBoot(decide(put(meta, file(detached(63)))));
    expectRefusal(decide(put(meta, file(detached(64)))), 'signature', 'the first 64 of which were tried');
  });

  it('has the checksum that the deployment is named after', () => {
    const other = makeCommit({ metadata: [text('version', '6')] });
    const tree = changed((one) => addCommit(one, { ...other, checksum: COMMIT.checksum }));
    expectRefusal(
      decide(tree),
      'commit name',
      `commit ${COMMIT.checksum} has the content of commit ${other.checksum}`,
      {
        expected: COMMIT.checksum,
        found: other.checksum,
      },
    );
  });

  it.each<[string, Parameters<typeof encodeCommit>[0]['metadata'], string]>([
    ['missing', [], 'no valid digest in commit'],
    [
      'short',
      [[COMPOSEFS_DIGEST_KEY, { type: 'ay', value: new Uint8Array(31) }]],
      'has the wrong size: 31 bytes, expected 32',
    ],
    [
      'of another type',
      [[COMPOSEFS_DIGEST_KEY, { type: 's', value: byteString(DIGEST) }]],
      'type is s, expected ay',
    ],
    [
      'of two values',
      [
        [COMPOSEFS_DIGEST_KEY, composefsValue(DIGEST)],
        [COMPOSEFS_KEY, composefsValue('e'.repeat(64))],
      ],
      'but ostree.composefs.digest.v0 says',
    ],
  ])('has no digest key that is %s', (_, metadata, message) => {
    const made = makeCommit();
    const data = encodeCommit({
      metadata,
      subject: byteString(''),
      body: byteString(''),
      timestamp: 1n,
      rootDirtree: '1'.repeat(64),
      rootDirmeta: '2'.repeat(64),
    });
    const checksum = checksumOf(data);
    expectRefusal(
      named({ ...made, data, checksum, detached: signatures(data, ['a']) }),
      'composefs digest',
      message,
    );
  });

  it('that bootc made is vouched for by its signed base, which is hashed and linked, as it is itself', () => {
    const config = text('ostree.container.image-config', '{}');
    const base = makeCommit({
      digest: 'b'.repeat(64),
      timestamp: 1_600_000_000,
      metadata: [text('product', 'one')],
    });
    const derived = makeCommit({ metadata: [config, text('version', '8')], parent: base.checksum, keys: [] });
    const bootc = (change: (tree: MemoryTree) => void, image = base.digest) =>
      decide(
        changed((tree) => {
          addCommit(tree, base);
          addDeployment(tree, derived, { image: { verity: image } });
          change(tree);
        }),
        `ostree=${deploymentAt(derived.checksum).slice('/sysroot'.length)}`,
      );
    const good = bootc(() => {});
    expectBoot(good);
    expect(good.commit?.version).toBe('8');
    expect(good.plan?.steps.find(({ step }) => step === 'mount image')).toMatchObject({
      digest: base.digest,
    });
    expect(good.checks.filter(({ name }) => name === 'commit name')).toHaveLength(2);
    expectRefusal(
      bootc(() => {}, derived.digest),
      'image in the kernel',
      'Wrong fsverity digest',
    );
    const swapped = makeCommit({ digest: 'b'.repeat(64), timestamp: 5 });
    expectRefusal(
      bootc((tree) => addCommit(tree, { ...swapped, checksum: base.checksum })),
      'commit name',
      'has the content of',
    );
    const edited = makeCommit({ metadata: [config], parent: base.checksum, keys: [] });
    expectRefusal(
      bootc((tree) => addCommit(tree, { ...edited, checksum: derived.checksum })),
      'commit name',
      'has the content of',
    );
    expectRefusal(
      bootc((tree) => void tree.delete(objectAt(base.checksum, 'commitmeta'))),
      'signature',
      'No commitmeta',
    );
  });
});

describe('the image', () => {
  const image = (more: Parameters<typeof file>[1]) =>
    decide(put(`${DEPLOYMENT}/.ostree.cfs`, file('image', more)));
  const name = 'image in the kernel';

  it('has the digest that the commit names, on the word of the kernel', () => {
    expectBoot(image({ verity: DIGEST, fileSystem: 0x9123683e }));
    expectBoot(image({ verity: DIGEST, fileSystem: 0xf2f52010 }));
    expectRefusal(
      image({}),
      name,
      'Failed to mount composefs: composefs: failed to mount: fsverity not enabled',
      { expected: DIGEST },
    );
    expectRefusal(image({ verity: 'e'.repeat(64) }), name, 'Wrong fsverity digest in composefs image', {
      expected: DIGEST,
      found: 'e'.repeat(64),
    });
    expectRefusal(image({ verity: DIGEST.repeat(2), algorithm: 'sha512' }), name, 'Wrong fsverity digest');
    expectRefusal(image({ verity: DIGEST, enforced: false }), name, 'fsverity not enabled');
  });

  it('lies on a file system whose fs-verity the kernel enforces, and so do the objects', () => {
    expectRefusal(
      image({ verity: DIGEST, fileSystem: FUSE }),
      name,
      'the image lies on fuse, whose fs-verity the kernel does not enforce: expected ext4, btrfs or f2fs',
      { found: 'fuse' },
    );
    expectRefusal(image({ verity: DIGEST, fileSystem: 0x1234 }), name, 'magic number 0x1234');
    const objects = put('/sysroot/ostree/repo/objects', { kind: 'directory', fileSystem: TMPFS });
    expectRefusal(
      decide(objects),
      'objects',
      'objects lie on tmpfs, whose fs-verity the kernel does not enforce',
    );
    objects.set(CONF, file(VERITY_CONF));
    expectBoot(decide(objects));
  });

  it('is not judged by this kernel where another boots, unless this one knows better', () => {
    const elsewhere = { kernel: undefined };
    expectBoot(decide(put(`${DEPLOYMENT}/.ostree.cfs`, file('image')), OSTREE, elsewhere));
    const wrong = put(`${DEPLOYMENT}/.ostree.cfs`, file('image', { verity: 'e'.repeat(64) }));
    expectRefusal(decide(wrong, OSTREE, elsewhere), name, 'Wrong fsverity digest');
    // Off on a file system that has fs-verity (ENODATA) is known everywhere; a FUSE server's word for it is not.
    const off = { verity: 'off' } as const;
    const turnedOff = put(`${DEPLOYMENT}/.ostree.cfs`, file('image', off));
    expectRefusal(decide(turnedOff, OSTREE, elsewhere), name, 'fsverity not enabled', { found: 'none' });
    const onFuse = put(`${DEPLOYMENT}/.ostree.cfs`, file('image', { ...off, fileSystem: FUSE }));
    expectBoot(decide(onFuse, OSTREE, elsewhere));
  });

  it('is needed, except with maybe and no', () => {
    const without = (conf: string) =>
      decide(changed((tree) => void tree.set(CONF, file(conf)).delete(`${DEPLOYMENT}/.ostree.cfs`)));
    for (const conf of [SIGNED_CONF, VERITY_CONF, YES_CONF])
      expectRefusal(
        without(conf),
        'image',
        'Failed to mount composefs: composefs: failed to mount: No such file or directory',
      );
    for (const conf of ['[composefs]\nenabled=maybe\n', '']) {
      expectBoot(without(conf));
      expectRefusal(
        without(`${conf}\n[root]\ntransient=true\n`),
        'image',
        'Must enable composefs with root.transient',
      );
    }
  });
});

function signatureOf(detached: Uint8Array): Uint8Array {
  const [first] = readSignatures(decodeCommitmeta(detached, 'test'), byteString('ostree.sign.ed25519'));
  if (first === undefined) throw new Error('no signature');
  return first;
}

function checksumOf(data: Uint8Array): string {
  return hexOf(portableHash.digest('sha256', data));
}
