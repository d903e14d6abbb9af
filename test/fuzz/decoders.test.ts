/**
 * 100,000 changed inputs for every decoder: none may hang, fail in another way than by refusing, or take all memory.
 * What a decoder accepts must come out the same when it is encoded again, where the format allows one form only.
 */
import { expect, it } from 'vitest';
import { bytesFromHex } from '../../src/core/bytes/hex.ts';
import { GOLDEN_TREES, goldenArchive } from '../golden-repo.ts';
import { FUZZ_DIVISOR, fuzz } from './fuzz.ts';
import { dumpSeeds, imageSeeds, keyPairs, objectSeeds, readVector, textSeeds } from './seeds.ts';
import type { Seeds } from './targets.ts';

it('decoders refuse what they do not accept', async () => {
  const { targets, failures } = await fuzz('decoders-worker.ts', seeds());
  const sum = (of: (target: (typeof targets)[number]) => number) =>
    targets.reduce((all, one) => all + of(one), 0);
  const cases = sum((target) => target.cases);
  expect(failures.join('\n\n')).toBe('');
  expect(sum((target) => target.passed)).toBeGreaterThanOrEqual(cases / 2);
  if (FUZZ_DIVISOR === 1) expect(cases).toBeGreaterThanOrEqual(100_000);
});

function seeds(): Seeds {
  const ed25519 = JSON.parse(readVector('ed25519/rfc8032.json').toString()) as Record<string, string>[];
  return {
    dumps: dumpSeeds(),
    images: imageSeeds(),
    objects: {
      commit: objectSeeds('commit'),
      dirtree: objectSeeds('dirtree'),
      dirmeta: objectSeeds('dirmeta'),
      commitmeta: objectSeeds('commitmeta'),
      filez: objectSeeds('filez'),
      file: objectSeeds('file'),
    },
    keyfiles: KEYFILES,
    texts: textSeeds(),
    archives: GOLDEN_TREES.map(goldenArchive),
    keyPairs: keyPairs(),
    publicKeys: ['a', 'b', 'wrong'].map((name) =>
      readVector(`ostree/keys/${name}.public`).toString('latin1'),
    ),
    signatures: ed25519.map(({ key, signature, message }) => [
      bytesFromHex(key as string),
      bytesFromHex(signature as string),
      bytesFromHex(message as string),
    ]),
  };
}

/** Files as the real tools read them: a repository's config, prepare-root.conf, an origin. */
const KEYFILES = [
  '[core]\nrepo_version=1\nmode=archive-z2\n\n[ex-integrity]\ncomposefs=true\nfsverity = maybe\n',
  '[core]\nrepo_version=1\nmode=bare-user\n# comment\nmin-free-space-size=500MB\n[remote "origin"]\nurl=https://example.org/repo\ngpg-verify=false\nbranches=a;b;c;\n',
  '# how to boot\n[composefs]\nenabled=signed\nkeypath=/etc/ostree/initramfs-root-binding.key\n\n[sysroot]\nreadonly=true\n[etc]\ntransient=false\n[root]\ntransient=no\n',
  '[origin]\nrefspec=origin:os/x86_64/stable\nname[de]=Ger\\u00e4t\ntext=\\s leading\\tand\\nescaped\n',
];
