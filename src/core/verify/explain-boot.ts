/**
 * A boot decision in words: the boot line, which says what is booted and what could still run code unsigned, and a
 * refusal, which says what was to be booted, which check failed and what to do next.
 * @module
 */
import { displayByteString } from '../bytes/byte-string.ts';
import { objectPath } from '../ostree/objects.ts';
import type { BootDecision } from './boot-decision.ts';
import { dateOf } from './booted-commit.ts';
import type { CheckName } from './report.ts';

/** One line without its end. */
export function bootLine(decision: BootDecision): string {
  const { policy, signer, unsigned } = decision;
  const parts = [`booting ${describeTarget(decision)}`];
  if (policy !== undefined) parts.push(`mode ${policy.mode}${policy.sealed === undefined ? '' : ', sealed'}`);
  if (signer !== undefined) parts.push(`signed with key ${signer.hex}`);
  const open = (there: boolean) =>
    unsigned.filter(({ present }) => present === there).map(({ path }) => displayByteString(path));
  parts.push(`unsigned: ${open(true).join(' ') || 'nothing'}`);
  if (open(false).length > 0) parts.push(`unsigned as soon as it is made: ${open(false).join(' ')}`);
  return parts.join('; ');
}

/** Lines for the console; none if nothing was refused. */
export function refusalLines(decision: BootDecision): string[] {
  const { refusal } = decision;
  if (refusal === undefined) return [];
  const { check, message, expected, found, advice } = refusal;
  const file = refusal.file ?? fileOf(decision, check);
  const keys = keysOf(decision);
  return [
    `boot refused: ${message}`,
    `  booting:  ${describeTarget(decision)}`,
    `  check:    ${check}`,
    ...(file === undefined ? [] : [`  file:     ${file}`]),
    ...(keys === undefined ? [] : [`  key:      ${keys}`]),
    ...(expected === undefined ? [] : [`  expected: ${expected}`]),
    ...(found === undefined ? [] : [`  found:    ${found}`]),
    `  next:     ${advice}`,
  ];
}

/** The same facts as plain data, for `verify --json` and a journal. */
export function bootJson(decision: BootDecision): unknown {
  const { policy, target, commit, signer, refusal, warnings, unsigned } = decision;
  const { sealed } = policy ?? {};
  return {
    deployment: target === undefined ? null : displayByteString(target.deployment),
    stateroot: target?.stateroot === undefined ? null : displayByteString(target.stateroot),
    commit: target?.commit ?? null,
    version: commit?.version === undefined ? null : displayByteString(commit.version),
    timestamp: commit === undefined ? null : dateOf(commit.timestamp),
    mode: policy?.mode ?? null,
    sealed: sealed !== undefined,
    configuration: policy?.path === undefined ? null : displayByteString(policy.path),
    key: signer?.hex ?? null,
    refusal:
      refusal === undefined
        ? null
        : {
            ...refusal,
            expected: refusal.expected ?? null,
            found: refusal.found ?? null,
            file: refusal.file ?? fileOf(decision, refusal.check) ?? null,
          },
    warnings,
    unsigned: unsigned.map(({ path, why, present }) => ({ path: displayByteString(path), why, present })),
  };
}

/** The file on the disk that a failed check is about. */
function fileOf({ target }: BootDecision, check: CheckName): string | undefined {
  if (target === undefined) return undefined;
  switch (check) {
    case 'image':
    case 'image in the kernel':
      return `${displayByteString(target.deployment)}/.ostree.cfs`;
    case 'signature':
    case 'commit name':
    case 'composefs digest':
      return `/ostree/repo/objects/${objectPath(target.commit, 'commit')}`;
    default:
      return undefined;
  }
}

/** By which key what is booted is protected, or those by one of which it should be. */
function keysOf({ target, policy, signer }: BootDecision): string | undefined {
  if (target === undefined || policy?.signed !== true) return undefined;
  return signer?.hex ?? policy.keys.map(({ hex }) => hex).join(' or ');
}

function describeTarget({ target, commit }: BootDecision): string {
  if (target === undefined) return 'no deployment yet';
  const { stateroot, deployment } = target;
  const parts = [stateroot === undefined ? displayByteString(deployment) : displayByteString(stateroot)];
  parts.push(`commit ${target.commit}`);
  if (commit?.version !== undefined) parts.push(`version ${displayByteString(commit.version)}`);
  if (commit !== undefined) parts.push(`of ${dateOf(commit.timestamp)}`);
  return parts.join(' ');
}
