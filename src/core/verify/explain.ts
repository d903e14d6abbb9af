/** A verification in words, and as the JSON that docs/verify.md describes. @module */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import type { BootDecision } from './boot-decision.ts';
import { bootJson, bootLine, refusalLines } from './explain-boot.ts';
import type { BootedEntry, MountPlan, MountStep } from './plan.ts';
import { type Damage, isValid, type Verification } from './report.ts';

/** Name of the form of {@link verificationJson}; another number if it changes in a way that a reader can notice. */
export const JSON_FORMAT = 'sealtree-verify-1';

/** The report for people, line by line. */
export function explainVerification(verification: Verification): string[] {
  const { target, checks, damage, differences, plan, notMountable } = verification;
  const lines = [
    `${target.kind} ${show(target.name)}${target.commit === undefined ? '' : describeCommit(verification)}`,
  ];
  for (const { name, status, message } of checks) {
    lines.push(`${MARKS[status]}  ${name}: ${message}`);
  }
  for (const difference of differences) lines.push(`      ${difference}`);
  for (const item of damage) lines.push(...explainDamage(item, verification));
  if (verification.boot !== undefined) lines.push(...explainBoot(verification.boot));
  lines.push(verdictLine(verification));
  if (isValid(verification) && plan !== undefined) {
    lines.push('mount plan:', ...explainPlan(plan));
  } else if (isValid(verification) && notMountable !== undefined)
    lines.push(`no mount plan: ${notMountable}`);
  return lines;
}

/** `valid`, `valid, not mountable` or `refused`. */
export function verdictOf(verification: Verification): string {
  if (!isValid(verification)) return 'refused';
  return verification.plan === undefined ? 'valid, not mountable' : 'valid';
}

/** The steps, numbered. */
export function explainPlan({ steps }: MountPlan): string[] {
  const width = String(steps.length).length;
  return steps.map((step, i) => `  ${String(i + 1).padStart(width)}. ${describeStep(step)}`);
}

/** The same facts as plain data; paths as text, bytes that are not UTF-8 as `\xhh`. */
export function verificationJson(verification: Verification): unknown {
  const { target, checks, damage, differences, protectedBy, notMountable, plan } = verification;
  return {
    format: JSON_FORMAT,
    verdict: verdictOf(verification),
    valid: isValid(verification),
    target: {
      kind: target.kind,
      name: show(target.name),
      repo: target.repo === undefined ? null : show(target.repo),
      commit: target.commit ?? null,
    },
    protectedBy: protectedBy ?? null,
    checks: checks.map(({ name, status, message, expected, found }) => ({
      check: name,
      status,
      message,
      expected: expected ?? null,
      found: found ?? null,
    })),
    damage: damage.map(({ object, fault, expected, found, paths }) => ({
      object: show(object),
      fault,
      expected: expected ?? null,
      found: found ?? null,
      paths: paths.map(show),
    })),
    differences,
    notMountable: notMountable ?? null,
    boot: verification.boot === undefined ? null : bootJson(verification.boot),
    plan: plan === undefined || !isValid(verification) ? null : plan.steps.map(plainStep),
  };
}

const MARKS = { passed: 'yes ', failed: 'NO  ', skipped: 'skip', warning: 'warn' } as const;

function explainBoot(decision: BootDecision): string[] {
  return decision.refusal === undefined ? [bootLine(decision)] : refusalLines(decision);
}

function describeCommit({ target }: Verification): string {
  const where = target.repo === undefined ? '' : ` in ${show(target.repo)}`;
  return target.name === target.commit ? where : `: commit ${target.commit}${where}`;
}

function explainDamage({ object, fault, paths }: Damage, { protectedBy }: Verification): string[] {
  const by =
    protectedBy === undefined ? 'nothing that was checked vouches for it' : `protected by ${protectedBy}`;
  return [
    `damaged: ${show(object)}: ${fault}`,
    `  ${by}; used by:`,
    ...paths.map((path) => `    ${show(path)}`),
  ];
}

function verdictLine(verification: Verification): string {
  const { checks, damage } = verification;
  const verdict = verdictOf(verification);
  if (verdict !== 'refused') return verdict;
  const reasons: string[] = checks.filter(({ status }) => status === 'failed').map(({ name }) => name);
  if (damage.length > 0) reasons.push(`${damage.length} damaged object${damage.length === 1 ? '' : 's'}`);
  return `refused: ${reasons.join(', ')}`;
}

function describeStep(step: MountStep): string {
  const condition = step.onlyIf === undefined ? '' : `, if ${show(step.onlyIf)} exists`;
  return wordsFor(step) + condition;
}

function wordsFor(step: MountStep): string {
  switch (step.step) {
    case 'create directory': {
      const rule = step.existing ? '' : '; it must not exist';
      return `create directory ${show(step.path)} (mode ${octal(step.mode)})${rule}`;
    }
    case 'create temporary directory':
      return `create temporary directory ${show(step.path)} (mode ${octal(step.mode)})`;
    case 'change directory':
      return `change directory to ${show(step.path)}`;
    case 'set propagation':
      return `make mounts at ${show(step.path)}${step.recursive ? ' and below' : ''} ${step.propagation}`;
    case 'mount image': {
      const demand = step.digest === undefined ? 'any' : `fs-verity digest ${step.digest}`;
      return `mount image ${show(step.image)} (${demand}) as EROFS at ${show(step.at)}`;
    }
    case 'mount overlay':
      return `mount overlay at ${show(step.at)}: ${overlayOptions(step)}`;
    case 'bind':
      return `bind ${show(step.from)} to ${show(step.at)}`;
    case 'remount':
      return `remount ${show(step.path)} ${step.readonly ? 'read-only' : 'writable'}`;
    case 'unmount':
      return `detach ${show(step.path)}`;
    case 'move mount':
      return `move mount ${show(step.from)} to ${show(step.to)}`;
    case 'remove directory':
      return `remove directory ${show(step.path)}`;
    case 'link to device':
      return `link ${show(step.path)} to the device of ${show(step.of)}`;
    case 'write file':
      return `write ${show(step.path)} (mode ${octal(step.mode)}, ${step.data.length} bytes)`;
    case 'write dictionary':
      return `write ${show(step.path)}: ${step.entries.map(describeEntry).join(', ')}`;
  }
}

function overlayOptions(step: Extract<MountStep, { step: 'mount overlay' }>): string {
  const options = [
    `source=${show(step.source)}`,
    ...(step.composefs ? ['metacopy=on', 'redirect_dir=on'] : []),
    ...(step.verity ? ['verity=require'] : []),
    ...step.lower.map((path) => `lowerdir+=${show(path)}`),
    ...step.data.map((path) => `datadir+=${show(path)}`),
    ...(step.upper === undefined ? [] : [`upperdir=${show(step.upper)}`]),
    ...(step.work === undefined ? [] : [`workdir=${show(step.work)}`]),
    ...(step.readonly ? ['ro'] : []),
  ];
  return options.join(',');
}

function describeEntry(entry: BootedEntry): string {
  switch (entry.type) {
    case 'b':
      return `${entry.key}=${entry.value}`;
    case 's':
      return `${entry.key}=${show(entry.value)}`;
    case '(tt)':
      return `${entry.key}=device and inode of ${show(entry.inodeOf)}`;
  }
}

/** Byte strings as text, whatever the step. */
function plainStep(step: MountStep): unknown {
  return JSON.parse(
    JSON.stringify(step, (_, value: unknown) =>
      typeof value === 'string' ? show(byteString(value)) : value === undefined ? null : value,
    ),
  );
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

function show(text: ByteString): string {
  return displayByteString(text);
}
