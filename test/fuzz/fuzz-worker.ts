/**
 * Runs the cases of a fuzz run, apart from the test, so that it can be ended when a case hangs or takes all memory.
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import { SealtreeError } from '../../src/core/errors.ts';
import { makeRandom } from './random.ts';
import { folderTargets } from './repository-target.ts';
import { sealedTargets } from './sealed-targets.ts';
import { describeCase, fuzzTargets, type Seeds, type Target } from './targets.ts';

export interface FuzzOrder {
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
}

export interface FuzzResult {
  readonly targets: readonly TargetResult[];
  /** Bytes that the process grew. */
  readonly growth: number;
  readonly failures: readonly string[];
}

const MAX_FAILURES = 20;

const order = workerData as FuzzOrder;
const progress = new Int32Array(order.progress);
const failures: string[] = [];
const folder = folderTargets(order.seeds);
const all = [...fuzzTargets(order.seeds), ...sealedTargets(order.seeds), ...folder.targets];
const startSize = process.memoryUsage.rss();
let growth = 0;
try {
  const targets: TargetResult[] = [];
  for (const [index, target] of all.entries()) targets.push(await runTarget(target, index));
  parentPort?.postMessage({ targets, growth, failures } satisfies FuzzResult);
} finally {
  folder.remove();
}

async function runTarget(target: Target, targetIndex: number): Promise<TargetResult> {
  const cases = Math.ceil(target.cases / order.divisor);
  const result = { accepted: 0, passed: 0, slowest: 0, growth: 0 };
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
      if (!(error instanceof SealtreeError))
        fail(error instanceof Error ? (error.stack ?? '') : String(error));
      else if (target.passedHeader(input, error)) result.passed++;
    }
    const time = performance.now() - before;
    result.slowest = Math.max(result.slowest, time);
    if (time > order.caseTime) fail(`took ${Math.round(time)} ms`);
    if (index % 64 === 0) {
      const size = process.memoryUsage.rss();
      result.growth = Math.max(result.growth, size - sizeBefore);
      growth = Math.max(growth, size - startSize);
      if (growth > order.growth) fail(`the process grew by ${growth} bytes`);
    }
  }
  return { target: target.name, cases, ...result, time: performance.now() - started };
}
