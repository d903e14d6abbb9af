/** Shows where the time of a row goes: a V8 profile of each thread, by module and by function. @module */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { remove } from './inputs.ts';
import { type CpuProfile, type ModuleNames, summarizeProfiles } from './profile-summary.ts';
import type { Row } from './row.ts';
import { runQuietly } from './run-process.ts';

/** Microseconds between two looks at a thread. */
const INTERVAL = 200;

/** Runs a row's work once by sealtree, under V8's profiler. @returns tables in text */
export function profileRow(row: Row, folder: string): string {
  const { ours } = row.contestants;
  remove(folder);
  row.prepare();
  row.round?.();
  ours.before?.();
  const [node, ...args] = ours.command();
  const options = ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-interval=${INTERVAL}`];
  runQuietly([node as string, ...options, ...args]);
  ours.after?.();
  const profiles = readdirSync(folder).map((name) => {
    // CPU.<date>.<time>.<process>.<thread>.<number>.cpuprofile
    const thread = Number(name.split('.')[4]);
    return { thread, profile: JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile };
  });
  return `${row.id}\n\n${summarizeProfiles(profiles, modulesOf)}`;
}

/** Which source each line of a bundle comes from: esbuild writes it above what it took from there. */
function modulesOf(url: string): ModuleNames | undefined {
  if (!url.startsWith('file:') && !url.startsWith('/')) return undefined;
  const path = url.startsWith('file:') ? new URL(url).pathname : url;
  const lines = readFileSync(path, 'latin1').split('\n');
  let name = '';
  return lines.map((line) => {
    name = /^\s*\/\/ ((?:src|node_modules)\/\S+)$/.exec(line)?.[1] ?? name;
    return name;
  });
}
