/**
 * A fault: what a check of the boot found wrong, as data. Thrown as a SealtreeError whose detail names the check,
 * so that a refusal keeps expected, found and what to do next through every layer.
 * @module
 */
import { SealtreeError } from '../errors.ts';
import type { Check, CheckName } from './report.ts';

export interface Fault {
  readonly name: CheckName;
  /** What is wrong, one line without full stop. */
  readonly message: string;
  readonly expected?: string | undefined;
  readonly found?: string | undefined;
  /** The file that it is about, if `name` alone does not say. */
  readonly file?: string | undefined;
  /** What to do next, if it is not what {@link ADVICE} says for every failure of this check. */
  readonly advice?: string | undefined;
}

/** What to do about a failed check. */
const ADVICE: Readonly<Partial<Record<CheckName, string>>> = {
  configuration: 'correct the file in the tree that the initramfs is made from, and make the initramfs anew',
  'sealed file': 'correct the sealed file and make the initramfs anew',
  'kernel arguments': 'remove the argument in the boot loader, or boot the entry before this one',
  mode: 'set composefs.enabled in the prepare-root.conf of the initramfs to what the sealed file demands',
  keys: 'put the public key of the build into the initramfs and make it anew',
  deployment:
    'boot another entry of the boot loader; from a rescue system `sealtree verify --boot` tells more',
  signature: 'boot another deployment, or sign this commit with a key of this initramfs',
  'commit name': 'the repository is damaged or altered: boot another deployment, then pull the commit again',
  'composefs digest': 'boot another deployment, or make the commit anew with --generate-composefs-metadata',
  image: 'deploy the commit again',
  'image in the kernel': 'enable fs-verity on the disk (tune2fs -O verity) and deploy the commit again',
  objects: 'put the repository on ext4, btrfs or f2fs with fs-verity',
  kernel: 'boot a newer kernel or one with this option',
  etc: 'set etc.transient=true in prepare-root.conf, or [etc] unsigned=allow in the sealed file',
  'minimum timestamp': 'boot a newer deployment',
  'required metadata': 'boot a deployment of this product',
  'backing files':
    'boot another deployment; from another system `sealtree image verify DISK` names every file that was changed',
};

/** A failed check as the exception that ends the decision. */
export function faultError({ name, message, expected, found, file, advice }: Fault): SealtreeError {
  return new SealtreeError('mismatch', message, {
    check: name,
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    ...(file === undefined ? {} : { file }),
    ...(advice === undefined ? {} : { advice }),
  });
}

/** Why there is no boot. */
export interface Refusal {
  readonly check: CheckName;
  readonly message: string;
  readonly expected: string | undefined;
  readonly found: string | undefined;
  /** The file that it is about, if the check alone does not say. */
  readonly file: string | undefined;
  readonly advice: string;
}

/** @param stage the check that was being made, for errors that name none */
export function refusalOf(error: SealtreeError, stage: CheckName): Refusal {
  const { check, expected, found, file, advice } = error.detail;
  const name = (check as CheckName | undefined) ?? stage;
  return {
    check: name,
    message: error.message,
    expected: expected === undefined ? undefined : String(expected),
    found: found === undefined ? undefined : String(found),
    file: file === undefined ? undefined : String(file),
    advice: advice === undefined ? (ADVICE[name] ?? 'boot another deployment') : String(advice),
  };
}

/** Collects what was checked, in order, and ends the decision where a rule that holds is broken. */
export interface Judge {
  readonly checks: Check[];
  readonly warnings: string[];
  passed(name: CheckName, message: string): void;
  skipped(name: CheckName, message: string): void;
  /** Notes the refusal, unless the check that failed is noted already. */
  failed(refusal: Refusal): void;
  /** Says that something is amiss and goes on. */
  warn(name: CheckName, message: string): void;
  /**
   * A rule is broken: the end if it holds here, otherwise a warning.
   *
   * @throws SealtreeError the fault
   */
  broken(holds: boolean, fault: Fault): void;
}

/** A judge that has not judged anything yet. */
export function makeJudge(): Judge {
  const checks: Check[] = [];
  const warnings: string[] = [];
  const warn = (name: CheckName, message: string) => {
    checks.push({ name, status: 'warning', message });
    warnings.push(message);
  };
  return {
    checks,
    warnings,
    passed: (name, message) => void checks.push({ name, status: 'passed', message }),
    skipped: (name, message) => void checks.push({ name, status: 'skipped', message }),
    failed({ check: name, message, expected, found }) {
      if (checks.some(({ status }) => status === 'failed')) return;
      checks.push({
        name,
        status: 'failed',
        message,
        ...(expected === undefined ? {} : { expected }),
        ...(found === undefined ? {} : { found }),
      });
    },
    warn,
    broken(holds, fault) {
      if (holds) throw faultError(fault);
      warn(fault.name, fault.message);
    },
  };
}
