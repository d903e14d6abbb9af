// Remakes test/vectors/verity/digests.tsv with the real fsverity. Run from the root of the repository with the words that
// call it, for example:
//   node test/generate/verity-vectors.mjs fsverity >test/vectors/verity/digests.tsv
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [program, ...words] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'verity-vectors-'));
const file = join(folder, 'file');
const SALTS = ['', 'a5', '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f'];

console.log('algorithm\tblock\tsalt\tsize\tdigest');
for (const [algorithm, digestSize] of [
  ['sha256', 32],
  ['sha512', 64],
]) {
  for (let block = 1024; block <= 65536; block *= 2) {
    const fanOut = block / digestSize;
    const edges = [1, 2, fanOut, fanOut ** 2]
      .map((blocks) => blocks * block)
      .filter((size) => size <= 2 ** 21);
    const sizes = new Set([0, 1, ...edges.flatMap((size) => [size - 1, size, size + 1])]);
    for (const size of sizes) {
      // The bytes of test/core/verity/vector-bytes.ts.
      writeFileSync(
        file,
        Uint8Array.from({ length: size }, (_, i) => (i * 7 + size) % 251),
      );
      for (const salt of size > 100_000 ? ['', SALTS[2]] : SALTS) {
        const options = [`--hash-alg=${algorithm}`, `--block-size=${block}`, `--salt=${salt}`, '--compact'];
        const digest = execFileSync(program, [...words, 'digest', ...options, file], { encoding: 'utf8' });
        console.log([algorithm, block, salt, size, digest.trim()].join('\t'));
      }
    }
  }
}
rmSync(folder, { recursive: true });
