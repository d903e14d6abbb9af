/**
 * 100,000 boots of which something was changed, from the configuration to what stands in a file's place: none may end
 * in anything but a plan or a refusal, and none may have a plan that should not be.
 */
import { expect, it } from 'vitest';
import { bootSeeds } from './boot-seeds.ts';
import { FUZZ_DIVISOR, fuzz } from './fuzz.ts';

it('boots end in a plan only if nothing that counts was changed', async () => {
  const { targets, failures } = await fuzz('boot-worker.ts', bootSeeds(), {
    'core/sign/ed25519.ts': 'remembered-signatures.ts',
  });
  expect(failures.join('\n\n')).toBe('');
  for (const { accepted, passed, cases, refusedBy } of targets) {
    expect(passed).toBeGreaterThanOrEqual(cases / 2);
    expect(accepted).toBeGreaterThanOrEqual(cases / 10);
    // Every check has had something to refuse.
    if (FUZZ_DIVISOR <= 10) expect(Object.keys(refusedBy).length).toBeGreaterThanOrEqual(10);
  }
});
