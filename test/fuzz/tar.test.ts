/**
 * 100,000 changed archives: none may hang, fail in another way than by refusing, take all memory, or be read otherwise in
 * pieces than as a whole.
 */
import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { LAYER_VECTORS, layerVector } from '../layer-vectors.ts';
import { fuzz } from './fuzz.ts';
import type { TarSeeds } from './tar-target.ts';

/** Larger ones would take the time of many small ones. */
const MAX_SIZE = 32 * 1024;

it('the tar reader and the layer writer refuse what they do not accept', async () => {
  const names = readdirSync(`${LAYER_VECTORS}tars`).filter((name) => name.endsWith('.tar'));
  const archives = names
    .map((name) => withoutEnd(layerVector(name)))
    .filter(({ length }) => length <= MAX_SIZE);
  const seeds: TarSeeds = { archives };
  const { targets, failures } = await fuzz('tar-worker.ts', seeds);
  expect(failures.join('\n\n')).toBe('');
  for (const { accepted, passed, cases } of targets) {
    expect(passed).toBeGreaterThanOrEqual(cases / 2);
    expect(accepted).toBeGreaterThanOrEqual(cases / 10);
  }
});

/** Without the zeros that fill a record of tar, but for the two blocks that end an archive. */
function withoutEnd(archive: Uint8Array): Uint8Array {
  let end = archive.length;
  while (end > 0 && archive[end - 1] === 0) end--;
  return Uint8Array.from(archive.subarray(0, Math.ceil(end / 512) * 512 + 1024));
}
