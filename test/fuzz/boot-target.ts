/** Boots that are decided about, each held against what may be decided. @module */
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { SealtreeError } from '../../src/core/errors.ts';
import { decideBoot } from '../../src/core/verify/boot.ts';
import type { BootDecision } from '../../src/core/verify/boot-decision.ts';
import { planSoftReboot } from '../../src/core/verify/soft-reboot.ts';
import { opensslHash } from '../../src/node/hash.ts';
import { memorySystem } from '../memory-system.ts';
import { type BootCase, type BootSeeds, makeBootCase } from './boot-cases.ts';
import { judgeDecision } from './boot-oracle.ts';
import type { Random } from './random.ts';
import { privateKeyObject } from './sealed-targets.ts';
import type { Target } from './targets.ts';

export function bootTargets(seeds: BootSeeds): Target[] {
  const secrets = seeds.keyPairs.map(privateKeyObject);
  const boots: Target<BootCase> = {
    name: 'boot',
    cases: 90_000,
    make: (random) => makeBootCase(random, seeds, secrets),
    check(boot) {
      const facts = { ...boot.facts, cmdline: byteString(boot.cmdline) };
      const decision = unrefused(() => decideBoot(memorySystem(boot.tree), opensslHash, facts));
      judgeDecision(boot, decision);
      refuse(boot, decision);
    },
    passedHeader: isBeyondConfiguration,
  };
  const softReboots: Target<SoftReboot> = {
    name: 'soft reboot',
    cases: 10_000,
    make: (random) => makeSoftReboot(random, makeBootCase(random, seeds, secrets)),
    check({ boot, deployment }) {
      const { kernel = { release: byteString('6.12'), features: {} } } = boot.facts;
      const facts = {
        cmdline: byteString(boot.cmdline),
        sysroot: byteString('/sysroot'),
        deployment: byteString(deployment),
        kernel,
      };
      const decision = unrefused(() => planSoftReboot(memorySystem(boot.tree), opensslHash, facts));
      // There is no initramfs any more; what was booted with one holds.
      const running = { ...boot, facts: { ...boot.facts, kernel, initramfs: true } };
      judgeDecision(running, decision, {
        config: deployment,
        sealed: '/run/ostree/sealed.conf',
        root: '/run/nextroot',
        deployment,
      });
      refuse(boot, decision);
    },
    passedHeader: isBeyondConfiguration,
  };
  return [boots, softReboots] as Target[];
}

interface SoftReboot {
  readonly boot: BootCase;
  readonly deployment: string;
}

/** One of the deployments with the configuration in it, and the sealed file where the boot has kept it. */
function makeSoftReboot(random: Random, boot: BootCase): SoftReboot {
  const { tree } = boot;
  const images = [...tree.keys()].filter((path) => path.endsWith('/.ostree.cfs'));
  const deployment = images.length === 0 ? '/sysroot' : random.pick(images).slice(0, -'/.ostree.cfs'.length);
  const move = (from: string, to: string) => {
    const node = tree.get(from);
    tree.delete(from);
    tree.delete(to);
    if (node !== undefined) tree.set(to, node);
  };
  for (const name of ['/etc/ostree/prepare-root.conf', '/usr/lib/ostree/prepare-root.conf'])
    move(name, deployment + name);
  move('/usr/lib/sealtree/sealed.conf', '/run/ostree/sealed.conf');
  return { boot, deployment };
}

function isBeyondConfiguration(_: unknown, { detail: { check } }: SealtreeError): boolean {
  return check !== 'configuration' && check !== 'sealed file';
}

/** @throws SealtreeError the refusal, if it is one */
function refuse({ changes }: BootCase, { refusal }: BootDecision): void {
  if (refusal === undefined) return;
  const { message, check } = refusal;
  if (changes.length === 0) expectReason(message);
  throw new SealtreeError('mismatch', message, { check });
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
    /^soft reboot not supported without composefs/,
    /No valid \(of|every trusted key is revoked/,
  ];
  if (!reasons.some((reason) => reason.test(message))) throw new Error(`unchanged, and refused: ${message}`);
}
