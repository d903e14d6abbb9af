/** The figures as tables of Markdown and as JSON. @module */
import {
  isShort,
  judge,
  type Measured,
  missedBy,
  plainRatio,
  ratioWithoutStart,
  type Verdict,
} from './goals.ts';
import { growthCurves, judgeGrowth, MEMORY_LIMIT, TIME_LIMIT } from './growth.ts';
import type { Machine } from './machine.ts';
import type { Results } from './results.ts';
import { type Row, type Who, workOf } from './row.ts';
import { type Spread, type Summary, summarize } from './statistics.ts';

/** The rows that were measured, in their order. */
export function measuredRows(rows: readonly Row[], results: Results): Measured[] {
  return rows.flatMap((row) => {
    const result = results.rows[row.id];
    if (result === undefined || result.rounds.length === 0) return [];
    const of: Partial<Record<Who, Summary>> = {};
    for (const who of [...Object.keys(row.contestants), 'start'] as Who[]) {
      of[who] = summarize(result.rounds.flatMap((round) => round[who] ?? []));
    }
    return [{ row, of: of as Measured['of'], size: result.size }];
  });
}

/** Everything: machine, tables by input, growth, and what missed its goal with its note. */
export function reportText(
  machine: Machine,
  rows: readonly Row[],
  results: Results,
  notes: ReadonlyMap<string, string>,
): string {
  const measured = measuredRows(rows, results);
  const compared = measured.filter(({ row }) => row.growth === undefined);
  return [
    ...header(machine, results, measured),
    '',
    ...table(compared),
    '',
    ...growthTable(measured),
    ...missed(measured, notes),
  ].join('\n');
}

/** A line on one row, for the terminal. */
export function rowLine(measured: Measured): string {
  const { row, of } = measured;
  const ratio = of.theirs === undefined ? '' : `, ratio ${ratios(measured)}`;
  const theirs = of.theirs === undefined ? '' : ` against ${seconds(of.theirs.wall)} s`;
  return `${row.id}: ${seconds(of.ours.wall)} s${theirs}${ratio}${judge(measured)
    .map((verdict) => `; ${verdictText(verdict)}`)
    .join('')}`;
}

/** What `--json` prints: seconds and bytes. */
export function reportJson(machine: Machine, rows: readonly Row[], results: Results): unknown {
  const measured = measuredRows(rows, results);
  return {
    machine,
    seed: results.seed,
    rows: measured.map((entry) => ({
      id: entry.row.id,
      against: entry.row.against,
      ...results.rows[entry.row.id],
      summary: entry.of,
      ratio: plainRatio(entry),
      ratioWithoutStart: ratioWithoutStart(entry),
      goals: judge(entry).map(({ goal, value, met }) => ({
        what: goal.what,
        limit: goal.limit,
        atLeast: goal.atLeast ?? false,
        value,
        met,
      })),
    })),
    growth: growthCurves(measured).map((curve) => ({ ...curve, verdict: judgeGrowth(curve) })),
  };
}

function header(machine: Machine, results: Results, measured: readonly Measured[]): string[] {
  const runs = measured.flatMap(({ row }) => results.rows[row.id]?.rounds.flatMap(Object.values) ?? []);
  const steal = runs.reduce((sum, run) => sum + run.steal, 0);
  const wall = runs.reduce((sum, run) => sum + run.wall, 0);
  const loads = measured.flatMap(({ row }) => results.rows[row.id]?.load ?? []);
  const builds = new Set(measured.map(({ row }) => results.rows[row.id]?.build));
  return [
    `- ${machine.when.slice(0, 16).replace('T', ' ')} UTC, ${machine.cores} × ${machine.processor} ` +
      `(${machine.features.join(', ') || 'no feature that counts'}), ${Math.round(machine.memory / 2 ** 30)} GiB`,
    `- load ${Math.min(...loads).toFixed(1)}–${Math.max(...loads).toFixed(1)} after each row, ` +
      `${((100 * steal) / (wall * machine.cores)).toFixed(2)} % of the processors taken by the hypervisor`,
    `- ${machine.fileSystem}; fsync ${machine.fsync}`,
    `- ${Object.entries(machine.versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
    `- generated input from seed ${results.seed}${builds.size > 1 ? `; rows by ${builds.size} builds` : ''}`,
  ];
}

function table(measured: readonly Measured[]): string[] {
  return [
    '| | the other: wall s; user + system s; peak MB | sealtree | ratio (after `node -e 0`) | goals |',
    '|---|---|---|---|---|',
    ...measured.map((entry) => {
      const { row, of, size } = entry;
      const entries =
        size.entries === undefined || /entries$/.test(row.input)
          ? ''
          : `, ${size.entries.toLocaleString('en')} entries`;
      const name = `${row.work}, ${row.input}${entries}`;
      const plain = of.plain === undefined ? '' : `<br>without the native part: ${cell(of.plain)}`;
      const theirs = of.theirs === undefined ? '' : `${row.against}: ${cell(of.theirs)}`;
      const goals = judge(entry).map(verdictText).join('<br>');
      return `| ${name} | ${theirs} | ${cell(of.ours)}${plain} | ${ratios(entry)} | ${goals} |`;
    }),
  ];
}

function growthTable(measured: readonly Measured[]): string[] {
  const curves = growthCurves(measured).filter(({ points }) => points.length > 1);
  if (curves.length === 0) return [];
  return [
    `Growth, from the smallest input to the largest (time after \`node -e 0\`; goals ${TIME_LIMIT} and ${MEMORY_LIMIT} times an entry):`,
    '',
    '| | entries: µs an entry, bytes an entry | time × | memory × |',
    '|---|---|---|---|',
    ...curves.map((curve) => {
      const points = curve.points.map(
        ({ entries, microseconds, bytes }) =>
          `${entries.toLocaleString('en')}: ${microseconds.toFixed(1)} µs, ${bytes.toFixed(0)} B`,
      );
      const verdict = judgeGrowth(curve);
      const value = (number: number | undefined, limit: number) =>
        number === undefined ? '' : `${number.toFixed(2)}${number > limit ? ' **missed**' : ''}`;
      return `| ${curve.name} | ${points.join('; ')} | ${value(verdict?.time, TIME_LIMIT)} | ${value(verdict?.memory, MEMORY_LIMIT)} |`;
    }),
    '',
  ];
}

function missed(measured: readonly Measured[], notes: ReadonlyMap<string, string>): string[] {
  const works = new Map<string, string[]>();
  const add = (id: string, line: string) => works.set(workOf(id), [...(works.get(workOf(id)) ?? []), line]);
  for (const entry of measured) {
    for (const verdict of judge(entry)) {
      if (verdict.met === false)
        add(entry.row.id, `- ${entry.row.work}, ${entry.row.input}: ${verdictText(verdict)}`);
    }
  }
  for (const curve of growthCurves(measured)) {
    const verdict = judgeGrowth(curve);
    const row = measured.find(({ row }) => row.growth === curve.name)?.row;
    if (verdict === undefined || row === undefined) continue;
    if (verdict.time > TIME_LIMIT)
      add(row.id, `- growth of ${curve.name}: time ${verdict.time.toFixed(2)} of ${TIME_LIMIT}`);
    if (verdict.memory > MEMORY_LIMIT)
      add(row.id, `- growth of ${curve.name}: memory ${verdict.memory.toFixed(2)} of ${MEMORY_LIMIT}`);
  }
  if (works.size === 0) return ['All goals are met.', ''];
  return [
    'Goals that are missed, with what the profile shows and what was tried:',
    '',
    ...[...works].flatMap(([work, lines]) => [...lines, '', `  ${notes.get(work) ?? 'No note yet.'}`, '']),
  ];
}

function verdictText(verdict: Verdict): string {
  const { goal, value, met } = verdict;
  const sign = goal.atLeast ? '≥' : '≤';
  const limit = `${goal.what} ${sign} ${goal.limit}${goal.unit}`;
  if (value === undefined) return `${limit}: not measured`;
  const reached = `${value.toFixed(goal.digits)}${goal.unit}`;
  return met
    ? `${limit}: met, ${reached}`
    : `${limit}: **missed**, ${reached}, ${missedBy(verdict).toFixed(2)} times`;
}

function ratios(measured: Measured): string {
  const [plain, without] = [plainRatio(measured), ratioWithoutStart(measured)];
  if (plain === undefined || without === undefined) return '';
  return `${plain.toFixed(3)}${isShort(measured) ? ` (${without.toFixed(3)})` : ''}`;
}

function cell({ wall, user, system, memory }: Summary): string {
  const megabytes = (memory.median / 1e6).toFixed(0);
  return `${seconds(wall)}; ${user.median.toFixed(2)} + ${system.median.toFixed(2)}; ${megabytes}`;
}

/** The median with the least and the most, where they are not the same run. */
function seconds({ median, least, most }: Spread): string {
  const digits = median < 1 ? 3 : 2;
  return least === most
    ? median.toFixed(digits)
    : `${median.toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`;
}
