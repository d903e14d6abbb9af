/**
 * Runs the cases of a fuzz run, in a worker apart from the test, so that it can be ended when a case hangs or takes
 * all memory.
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import { SealtreeError } from '../../src/core/errors.ts';
import { makeRandom } from './random.ts';
import { describeCase, type Target } from './targets.ts';

export interface FuzzOrder<Seeds = unknown> {
  readonly seed: number;
  readonly seeds: Seeds;
  /** Two numbers that the test watches: the target and the case that are running. */
  readonly progress: SharedArrayBuffer;
  /** Milliseconds that a case may take. */
  readonly caseTime: number;
  /** Bytes by which the process may grow. */
  readonly growth: number;
  /** A divisor of the number of cases, for a short run. */
  readonly divisor: number;
}

export interface TargetResult {
  readonly target: string;
  readonly cases: number;
  readonly accepted: number;
  /** Cases that were accepted or got beyond the first thing that is read. */
  readonly passed: number;
  /** Milliseconds of the slowest case. */
  readonly slowest: number;
  /** Bytes that the process grew while it ran. */
  readonly growth: number;
  readonly time: number;
  /** How many cases each check refused, where refusals name one. */
  readonly refusedBy: Readonly<Record<string, number>>;
}

export interface FuzzResult {
  readonly targets: readonly TargetResult[];
  /** Bytes that the process grew. */
  readonly growth: number;
  readonly failures: readonly string[];
}

const MAX_FAILURES = 20;

/** Runs what the test ordered, and posts the result to it. */
export async function runTargets<Seeds>(targetsOf: (seeds: Seeds) => readonly Target[]): Promise<void> {
  const order = workerData as FuzzOrder<Seeds>;
  const all = targetsOf(order.seeds);
  const failures: string[] = [];
  const startSize = process.memoryUsage.rss();
  const targets: TargetResult[] = [];
  let growth = 0;
  for (const [index, target] of all.entries()) {
    const result = await runTarget(target, index, order, failures);
    targets.push(result);
    growth = Math.max(growth, process.memoryUsage.rss() - startSize, result.growth);
  }
  parentPort?.postMessage({ targets, growth, failures } satisfies FuzzResult);
}

async function runTarget(
  target: Target,
  targetIndex: number,
  order: FuzzOrder,
  failures: string[],
): Promise<TargetResult> {
  const progress = new Int32Array(order.progress);
  const cases = Math.ceil(target.cases / order.divisor);
  const result = { accepted: 0, passed: 0, slowest: 0, growth: 0 };
  const refusedBy: Record<string, number> = {};
  const started = performance.now();
  const sizeBefore = process.memoryUsage.rss();
  for (let index = 0; index < cases && failures.length < MAX_FAILURES; index++) {
    Atomics.store(progress, 0, targetIndex);
    Atomics.store(progress, 1, index);
    const input = target.make(makeRandom(order.seed, targetIndex, index));
    const fail = (what: string) =>
      failures.push(`${target.name} case ${index}: ${what}\n${describeCase(input)}`);
    const before = performance.now();
    try {
      await target.check(input);
      result.accepted++;
      result.passed++;
    } catch (error) {
      if (!(error instanceof SealtreeError)) {
        fail(error instanceof Error ? (error.stack ?? '') : String(error));
      } else {
        if (target.passedHeader(input, error)) result.passed++;
        const { check } = error.detail;
        if (typeof check === 'string') refusedBy[check] = (refusedBy[check] ?? 0) + 1;
      }
    }
    const time = performance.now() - before;
    result.slowest = Math.max(result.slowest, time);
    if (time > order.caseTime) {
      // Another process may have had the processor meanwhile.
      const again = Math.min(await timeOf(target, input), await timeOf(target, input));
      if (again > order.caseTime) fail(`took ${Math.round(again)} ms`);
    }
    if (index % 64 === 0) {
      result.growth = Math.max(result.growth, process.memoryUsage.rss() - sizeBefore);
      if (result.growth > order.growth) fail(`the process grew by ${result.growth} bytes`);
    }
  }
  return { target: target.name, cases, ...result, time: performance.now() - started, refusedBy };
}

/** Milliseconds that a case takes, whatever comes of it. */
async function timeOf(target: Target, input: unknown): Promise<number> {
  const before = performance.now();
  try {
    await target.check(input);
  } catch {
    // It was judged before.
  }
  return performance.now() - before;
}
