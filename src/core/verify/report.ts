/**
 * What a verification found, as data: every check in the order in which it was made. explain.ts puts it in words,
 * docs/verify.md describes its JSON.
 * @module
 */
import type { ByteString } from '../bytes/byte-string.ts';
import type { BootDecision } from './boot-decision.ts';
import type { MountPlan } from './plan.ts';

export type CheckName =
  | 'sealed file'
  | 'configuration'
  | 'kernel arguments'
  | 'mode'
  | 'keys'
  | 'deployment'
  | 'signature'
  | 'commit name'
  | 'composefs digest'
  | 'minimum timestamp'
  | 'required metadata'
  | 'image'
  | 'kernel'
  | 'etc'
  | 'mounted'
  | 'image digest'
  | 'image in the kernel'
  | 'objects'
  | 'objects in the kernel'
  | 'image rebuilt'
  | 'backing files';

export interface Check {
  readonly name: CheckName;
  /** `skipped`: the policy does not ask for it, or it cannot be made here; `message` says which. `warning`: a rule
   * that does not hold here is broken. */
  readonly status: 'passed' | 'failed' | 'skipped' | 'warning';
  /** What was found; of a failure what is wrong. */
  readonly message: string;
  readonly expected?: string;
  readonly found?: string;
}

/** An object or backing file that is not what its name or digest says. */
export interface Damage {
  /** `objects/ab/cdef….file`. */
  readonly object: ByteString;
  readonly fault: string;
  readonly expected?: string;
  readonly found?: string;
  /** Every path of the tree whose entry it is, in byte order of the tree. */
  readonly paths: readonly ByteString[];
}

export interface Target {
  readonly kind: 'commit' | 'deployment' | 'image';
  /** What was asked for: a rev, or a path. */
  readonly name: ByteString;
  readonly repo: ByteString | undefined;
  /** Checksum of the commit. */
  readonly commit: string | undefined;
}

export interface Verification {
  readonly target: Target;
  readonly checks: readonly Check[];
  readonly damage: readonly Damage[];
  /** Sentences that say where an image differs from the one it should be. */
  readonly differences: readonly string[];
  /** What vouches for the content: a key, or a digest that was given; undefined if nothing does. */
  readonly protectedBy: string | undefined;
  /** Why there is no plan although all is well. */
  readonly notMountable: string | undefined;
  readonly plan: MountPlan | undefined;
  /** Of a deployment: what a boot would decide. */
  readonly boot: BootDecision | undefined;
}

/** Whether every check that was made said yes. */
export function isValid({ checks, damage }: Pick<Verification, 'checks' | 'damage'>): boolean {
  return damage.length === 0 && checks.every(({ status }) => status !== 'failed');
}
