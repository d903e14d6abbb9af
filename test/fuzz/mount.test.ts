/**
 * 100,000 times a mount plan is carried out on a kernel that fails or lies, or a table of mounts is not what was
 * planned: none may end in success with anything else mounted, and no refusal may leave something behind.
 */
import { expect, it } from 'vitest';
import { fuzz } from './fuzz.ts';

it('mounts what was planned, or nothing', async () => {
  const { targets, failures } = await fuzz('mount-worker.ts', undefined);
  expect(failures.join('\n\n')).toBe('');
  for (const { accepted, cases } of targets) {
    expect(accepted).toBeGreaterThanOrEqual(cases / 20);
    expect(accepted).toBeLessThanOrEqual((cases * 3) / 4);
  }
});
