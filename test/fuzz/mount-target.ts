/**
 * Mount plans carried out on a kernel whose every call may fail or lie, and tables of mounts that are not what was
 * planned. What a plan should come to is what it comes to where nothing fails.
 * @module
 */
import { mountPlan } from '../../initramfs/mount-plan.ts';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { parsePrepareRoot } from '../../src/core/conf/prepare-root.ts';
import { SealtreeError } from '../../src/core/errors.ts';
import { checkMounted } from '../../src/core/verify/mounted.ts';
import { type MountPlan, planBoot, planNextRoot } from '../../src/core/verify/plan.ts';
import { FakeKernel, KERNEL_KINDS, type KernelKind, type Trouble, useKernel } from './fake-kernel.ts';
import { changeTable, IMAGE_PLACE } from './mount-changes.ts';
import { mutateLines } from './mutate.ts';
import type { Random } from './random.ts';
import type { Target } from './targets.ts';

const DIGEST = 'd1'.repeat(32);
const DEPLOYMENT = byteString(`/ostree/deploy/os/deploy/${'c0'.repeat(32)}.0`);
const SYSROOT = byteString('/sysroot');
const FACTS = { release: byteString('6.12'), features: {} };

/** A plan, what it comes to, and in how many calls. */
interface Plan {
  readonly name: string;
  readonly plan: MountPlan;
  readonly kind: KernelKind;
  readonly soft: boolean;
  /** undefined where this kernel cannot do it. */
  readonly mounts: readonly string[] | undefined;
  readonly before: string;
  readonly after: string;
  readonly calls: number;
}

export function mountTargets(): Target[] {
  const plans = makePlans();
  const possible = plans.filter(({ mounts }) => mounts !== undefined);
  const carriedOut: Target<PlanCase> = {
    name: 'mount plan',
    cases: 20_000,
    make: (random) => makePlanCase(random, plans),
    check: carryOutCase,
    passedHeader: () => true,
  };
  const tables: Target<TableCase> = {
    name: 'table of mounts',
    cases: 60_000,
    make(random) {
      const { name, plan, soft, before, after } = random.pick(possible);
      const changed = changeTable(random, after, soft ? '/run/nextroot' : '/sysroot');
      return { plan, before, ...changed, name: `${name}: ${changed.name}` };
    },
    check: checkTable,
    passedHeader: () => true,
  };
  const texts: Target<TextCase> = {
    name: 'bytes of a table of mounts',
    cases: 20_000,
    make(random) {
      const { name, plan, before, after } = random.pick(possible);
      const text = mutateLines(
        random,
        after,
        possible.map((one) => one.after),
        ' ',
        WORDS,
      );
      return { name, plan, before, text };
    },
    // What it says is judged above: here it is read.
    check({ plan, before, text }) {
      refuse(checkMounted(plan, byteString(before), byteString(text)).map(({ message }) => message));
    },
    passedHeader: () => true,
  };
  return [carriedOut, tables, texts] as Target[];
}

const WORDS = [
  '-',
  '/',
  '30',
  '1',
  'shared:1',
  '\\040',
  '\\000',
  '/sysroot',
  'rw',
  'ro',
  'overlay',
  '8:1',
  ',',
  '=',
  'lowerdir=',
];

// ---- plans

function makePlans(): Plan[] {
  const plans: Plan[] = [];
  for (const enabled of ['signed', 'verity', 'yes', 'no'])
    for (const [etc, root] of [
      ['', ''],
      ['transient=true', ''],
      ['', 'transient=true'],
      ['', 'transient-ro=true'],
    ] as const)
      for (const soft of [false, true])
        for (const hotfix of [false, true]) {
          const text = `[composefs]\nenabled=${enabled}\n[etc]\n${etc}\n[root]\n${root}\n`;
          const config = parsePrepareRoot(byteString(text), byteString('prepare-root.conf'));
          const common = {
            config,
            sysroot: SYSROOT,
            deployment: DEPLOYMENT,
            digest: enabled === 'signed' ? DIGEST : undefined,
          };
          const isComposefs = enabled !== 'no';
          if ((!isComposefs && (soft || root !== '')) || (soft && hotfix)) continue;
          const plan = soft
            ? planNextRoot({ ...common, boot: etc === '' })
            : planBoot({
                ...common,
                hasImage: isComposefs,
                hotfix,
                legacyReadonly: etc !== '',
                sysrootWritable: root === '',
                sealedFile: etc === '' ? undefined : byteString('[sealed]\n'),
                unnamed: true,
              });
          for (const kind of KERNEL_KINDS)
            plans.push(
              cleanRun(
                `${text.replaceAll('\n', ' ')}${hotfix ? 'hotfix ' : ''}${soft ? 'soft ' : ''}${kind}`,
                plan,
                kind,
                soft,
              ),
            );
        }
  return plans;
}

function cleanRun(name: string, plan: MountPlan, kind: KernelKind, soft: boolean): Plan {
  const fake = new FakeKernel(kind, DIGEST, new Map());
  const before = fake.mounts.table();
  const error = run(plan, fake).error;
  const mounts = error === undefined ? fake.mounts.visible() : undefined;
  // Only where objects would be an ordinary layer, whose files nobody checks, there is a reason not to boot.
  const isWeak = kind === 'one colon' && /enabled=(?:signed|verity)/.test(name);
  if ((error !== undefined) !== isWeak) throw new Error(`${name}: ${error?.message ?? 'mounted'}`);
  return { name, plan, kind, soft, mounts, before, after: fake.mounts.table(), calls: fake.calls };
}

interface Outcome {
  readonly error: SealtreeError | undefined;
  readonly warnings: readonly string[];
}

function run(plan: MountPlan, fake: FakeKernel): Outcome {
  const warnings: string[] = [];
  useKernel(fake);
  try {
    mountPlan(plan, FACTS, (message) => warnings.push(message));
    return { error: undefined, warnings };
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    return { error, warnings };
  }
}

// ---- carrying out

interface PlanCase {
  readonly plan: Plan;
  readonly troubles: ReadonlyMap<number, Trouble>;
  /** In place of all lies: what is read of the table afterwards. */
  readonly table: ((text: string) => string) | undefined;
}

function makePlanCase(random: Random, plans: readonly Plan[]): PlanCase {
  const plan = random.pick(plans);
  const troubles = new Map<number, Trouble>();
  if (random.once(12)) {
    const seed = random.below(1 << 30);
    return { plan, troubles, table: (text) => damaged(text, seed) };
  }
  const isFailing = random.once(2);
  for (let count = random.once(10) ? 0 : random.once(3) ? 3 : 1; count > 0; count--) {
    const at = random.below(plan.calls + 8);
    if (isFailing) troubles.set(at, { kind: 'error', errno: 1 + random.below(133) });
    else if (random.once(2)) troubles.set(at, { kind: 'nothing' });
    else troubles.set(at, { kind: 'other', which: random.below(8) });
  }
  return { plan, troubles, table: undefined };
}

/** A piece of it missing, or something in between. */
function damaged(text: string, seed: number): string {
  const at = seed % text.length;
  const words = [' ', '\n', '- ', 'x', '\\', '30 1 8:1 / /sysroot/usr rw - ext4 /dev/sdx rw\n'];
  return text.slice(0, at) + (words[seed % words.length] as string) + text.slice(at + (seed % 40));
}

function carryOutCase({ plan, troubles, table }: PlanCase): void {
  const fake = new FakeKernel(plan.kind, DIGEST, troubles, table);
  const disk = fake.mounts.at('/sysroot')?.id;
  const { error, warnings } = run(plan.plan, fake);
  if (fake.leaked() > 0) throw new Error(`${fake.leaked()} descriptors are left open`);
  if (error === undefined) {
    if (plan.mounts === undefined) throw new Error('mounted on a kernel that cannot do it');
    const found = inPlace(fake.mounts.visible());
    const expected = inPlace(plan.mounts);
    if (found.join('\n') !== expected.join('\n'))
      throw new Error(
        `success with\n${found.join('\n')}\ninstead of\n${expected.join('\n')}\nafter ${fake.troubled}`,
      );
    return;
  }
  // What umount2 will not do nobody can; and what was mounted at another place than asked for is not looked for.
  const unmounting = fake.troubled.filter((name) => name.startsWith('umount2'));
  const isHelpless = unmounting.length > 0 || fake.strays.length > 0 || fake.troubled.includes('chdir lies');
  if (!isHelpless) expectNothing(plan, fake, disk, error);
  if (warnings.some((warning) => !/^(?:unmounting|removing|failed to create) /.test(warning)))
    throw new Error(`warned of ${warnings.join(', ')}`);
  throw error;
}

/** Where the plan puts mounts, and what stands there: what the initramfs or the running system has is left out. */
function inPlace(mounts: readonly string[]): string[] {
  return mounts.filter((mount) => !/"path":"(?:\/|\/run|\/elsewhere)"/.test(mount));
}

function expectNothing(
  { soft }: Plan,
  fake: FakeKernel,
  disk: number | undefined,
  error: SealtreeError,
): void {
  const left = inPlace(fake.mounts.visible()).filter(
    (mount) => !mount.includes('"root":"/disk root","path":"/sysroot"'),
  );
  if (left.length > 0)
    throw new Error(`${error.message}: left mounted after ${fake.troubled}:\n${left.join('\n')}`);
  const isHonest = fake.troubled.every((name) => !name.endsWith('lies'));
  if (soft && isHonest && fake.mounts.at('/sysroot')?.id !== disk)
    throw new Error(`${error.message}: another disk at /sysroot`);
  if (fake.mounts.at(IMAGE_PLACE)?.path === IMAGE_PLACE)
    throw new Error(`${error.message}: the image is left mounted`);
  for (const file of ['/run/ostree-booted', '/run/ostree/nextroot-booted'])
    if (fake.files.has(file) && isHonest && !fake.troubled.includes('unlinkat'))
      throw new Error(`${error.message}: ${file} is left`);
}

// ---- tables

interface TableCase {
  readonly name: string;
  readonly plan: MountPlan;
  readonly before: string;
  readonly text: string;
  /** Whether it is still as planned. */
  readonly good: boolean;
}

interface TextCase {
  readonly name: string;
  readonly plan: MountPlan;
  readonly before: string;
  readonly text: string;
}

function checkTable({ plan, before, text, good }: TableCase): void {
  let faults: string[];
  try {
    faults = checkMounted(plan, byteString(before), byteString(text)).map(({ message }) => message);
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    faults = [error.message];
  }
  if (good && faults.length > 0) throw new Error(`refused although it is as planned: ${faults.join('; ')}`);
  if (!good && faults.length === 0) throw new Error('accepted although it is not as planned');
  refuse(faults);
}

function refuse([fault]: readonly string[]): void {
  if (fault !== undefined) throw new SealtreeError('mismatch', fault, { check: 'mounted' });
}
