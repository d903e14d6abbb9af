/**
 * Compares sealtree with the real tools and other references: the same input, the same run, in turns. docs/performance.md
 * says how to use it, and holds what it found last.
 * @module
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { readNotes, writeDocument } from './document.ts';
import { growthCurves } from './growth.ts';
import { remove } from './inputs.ts';
import { buildOf, describeMachine } from './machine.ts';
import { measureRow } from './measure.ts';
import { type Options, parseOptions, USAGE } from './options.ts';
import { profileRow } from './profile.ts';
import { measuredRows, reportJson, reportText, rowLine } from './report.ts';
import { loadResults, type Results, roundsOf, roundsWanted, saveResults } from './results.ts';
import type { Row } from './row.ts';
import { benchRows } from './rows.ts';
import { endWithThis } from './run-process.ts';
import { makeTools } from './tools.ts';

const [root = '.', ...args] = process.argv.slice(2);
try {
  await bench(root, parseOptions(args));
} catch (error) {
  const wrongWord = error instanceof TypeError && 'code' in error;
  process.stderr.write(`${(error as Error).message}\n${wrongWord ? USAGE : ''}`);
  process.exitCode = 1;
}

async function bench(root: string, options: Options): Promise<void> {
  const { folder, quick } = options;
  mkdirSync(folder, { recursive: true });
  endWithThis();
  const tools = makeTools(root, folder);
  const results = loadResults(folder, options.seed ?? Date.now() % 2 ** 31);
  const work = join(folder, 'work');
  const all = benchRows(tools, work, results.seed);
  const chosen = all.filter((row) => isChosen(row, options));
  if (options.list) {
    for (const { id, work, input } of chosen) process.stdout.write(`${id}\t${work}, ${input}\n`);
    return;
  }
  if (chosen.length === 0) throw new Error(`no row is called ${options.rows.join(', ')}: see --list`);
  const prepareGroup = ({ group }: Row) => mkdirSync(join(work, group), { recursive: true });
  if (options.profile) {
    prepareGroup(chosen[0] as Row);
    process.stdout.write(profileRow(chosen[0] as Row, join(folder, 'profile')));
    return;
  }
  const build = buildOf(tools);
  if (options.fresh) for (const { id } of chosen) delete results.rows[id];
  results.machine = describeMachine(tools, folder);
  saveResults(folder, results);
  const log = (line: string) => process.stderr.write(`${line}\n`);
  log(`seed ${results.seed}, build ${build}, results in ${folder}`);
  const session = {
    folder,
    build,
    quick,
    progress: ({ id }: Row, done: number, wanted: number) => log(`  ${id}: round ${done} of ${wanted}`),
  };
  const failures: string[] = [];
  for (const [i, row] of chosen.entries()) {
    try {
      prepareGroup(row);
      await measureRow(row, results, session);
      for (const measured of measuredRows([row], results)) log(rowLine(measured));
    } catch (error) {
      failures.push(`${row.id}: ${(error as Error).message}`);
      log(failures.at(-1) as string);
    }
    // What the rows of a group share is as large as their input.
    if (chosen[i + 1]?.group !== row.group) remove(join(work, row.group));
  }
  remove(work);
  finish(root, options, results, all, chosen);
  if (failures.length > 0) throw new Error(`not measured:\n${failures.join('\n')}`);
}

function isChosen({ id, long }: Row, { rows, quick }: Options): boolean {
  if (quick && long) return false;
  return rows.length === 0 || rows.some((word) => id.includes(word));
}

/** Prints what was asked for; the document is written once each row has a full result. */
function finish(
  root: string,
  options: Options,
  results: Results,
  all: readonly Row[],
  chosen: readonly Row[],
): void {
  const { machine } = results;
  if (machine === undefined) return;
  const notes = readNotes(root);
  process.stdout.write(
    options.json
      ? `${JSON.stringify(reportJson(machine, chosen, results), null, 2)}\n`
      : `\n${reportText(machine, chosen, results, notes)}`,
  );
  const isComplete = all.every((row) => {
    const { build = '', rounds = [] } = results.rows[row.id] ?? {};
    return rounds.length >= roundsWanted(row, false) && roundsOf(results, row, build, false).length > 0;
  });
  if (!isComplete) return;
  writeDocument(root, reportText(machine, all, results, notes), growthCurves(measuredRows(all, results)));
  process.stderr.write('docs/performance.md is written\n');
}
