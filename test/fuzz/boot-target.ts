/** Boots that are decided about, each held against what may be decided. @module */
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { SealtreeError } from '../../src/core/errors.ts';
import { decideBoot } from '../../src/core/verify/boot.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { memorySystem } from '../memory-system.ts';
import { type BootCase, type BootSeeds, makeBootCase } from './boot-cases.ts';
import { judgeDecision } from './boot-oracle.ts';
import { privateKeyObject } from './sealed-targets.ts';
import type { Target } from './targets.ts';

export function bootTarget(seeds: BootSeeds): Target {
  const secrets = seeds.keyPairs.map(privateKeyObject);
  const target: Target<BootCase> = {
    name: 'boot',
    cases: 100_000,
    make: (random) => makeBootCase(random, seeds, secrets),
    check(boot) {
      const facts = { ...boot.facts, cmdline: byteString(boot.cmdline) };
      const decision = unrefused(() => decideBoot(memorySystem(boot.tree), opensslHash, facts));
      judgeDecision(boot, decision);
      if (decision.refusal !== undefined) {
        const { message, check } = decision.refusal;
        if (boot.changes.length === 0) expectReason(message);
        throw new SealtreeError('mismatch', message, { check });
      }
    },
    passedHeader: (_, { detail: { check } }) => check !== 'configuration' && check !== 'sealed file',
  };
  return target as Target;
}

/** Never throws: what is read ends in a refusal. */
function unrefused<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new Error('decideBoot threw', { cause: error });
  }
}

/** What is put together without a change is refused for one of these reasons alone. */
function expectReason(message: string): void {
  const reasons = [
    /^No ostree target found/,
    /is weaker than/,
    /^\/etc is persistent/,
    /^commit is of|^commit has/,
    /is not one that the sealed file allows/,
    /No valid \(of|every trusted key is revoked/,
  ];
  if (!reasons.some((reason) => reason.test(message))) throw new Error(`unchanged, and refused: ${message}`);
}
