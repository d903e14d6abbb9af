/**
 * Ends the run with the table of what was booted, what was skipped and why, and with one plain line of numbers, or, for a caller who adds further
 * stages, with these numbers in the file that SEALTREE_TEST_COUNTS names.
 * @module
 */
import { writeFileSync } from 'node:fs';
import type { SerializedError } from 'vitest';
import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node';
import type {} from '../requires.ts';

export default class implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0 };
    const skipped = new Map<string, string[]>();
    const times = new Map<string, number>();
    const booted: string[][] = [];
    for (const module of modules) {
      const { duration } = module.diagnostic();
      times.set(module.project.name, (times.get(module.project.name) ?? 0) + duration);
      const tests = [...module.children.allTests()];
      if (module.state() === 'failed' && !tests.some((test) => test.result().state === 'failed'))
        counts.failed++;
      for (const test of tests) {
        const { state } = test.result();
        if (state === 'pending') continue;
        counts[state]++;
        const row = test.meta().boot;
        if (row !== undefined)
          booted.push([test.fullName, row.expected, row.seen, `${row.seconds.toFixed(1)} s`]);
        if (state !== 'skipped') continue;
        const reason = reasonOf(test);
        const name = `${module.relativeModuleId}: ${test.parent.type === 'suite' ? test.parent.fullName : test.name}`;
        skipped.set(reason, [...new Set([...(skipped.get(reason) ?? []), name])]);
      }
    }
    const lines = [...times].map(([name, time]) => `${name}: ${(time / 1000).toFixed(1)} s of tests`);
    if (booted.length > 0) lines.push(...table([['case', 'expected', 'seen', 'time'], ...booted]));
    for (const [reason, names] of skipped)
      lines.push(`skipped, ${reason}:`, ...names.map((name) => `  ${name}`));
    const file = process.env.SEALTREE_TEST_COUNTS;
    if (file !== undefined) writeFileSync(file, JSON.stringify(counts));
    else lines.push(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
    process.stdout.write(`${lines.join('\n')}\n`);
  }
}

/** Lines with the columns below each other, each as wide as its longest text. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

function reasonOf(test: TestCase): string {
  const result = test.result();
  if (result.state === 'skipped' && result.note !== undefined) return result.note;
  for (let node: TestCase | TestSuite | TestModule = test; node.type !== 'module'; node = node.parent) {
    const { reason } = node.meta();
    if (reason !== undefined) return reason;
  }
  return 'by a mark in the test';
}
