/**
 * Compares sealtree with the real tools: the same input, the same run, in turns, medians of at least five. Prints a
 * table, and writes it into docs/performance.md unless `--quick` (small inputs) was given.
 * @module
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { makePeers, peersRoot, type RealTool, realCommand, whyNoPeers } from '../test/peers.ts';
import { writeSystemDump } from './system-dump.ts';

interface Case {
  readonly name: string;
  readonly tool: RealTool & ('ostree' | 'mkcomposefs' | 'fsverity');
  /** Arguments of a run; `who` keeps the two tools' files apart. */
  args(who: string): string[];
  /** What has to be there before each run. */
  prepare?(who: string): void;
}

interface Measured {
  readonly name: string;
  readonly theirs: readonly number[];
  readonly ours: readonly number[];
}

const START = '<!-- measured -->\n';
const END = '<!-- /measured -->';

const [root = '.', ...options] = process.argv.slice(2);
const quick = options.includes('--quick');
const runs = quick ? 5 : 7;
const only = options.find((option) => !option.startsWith('-'));
const scratch = mkdtempSync(join(tmpdir(), 'sealtree-bench-'));
try {
  makePeers();
  const tree = peersRoot();
  if (tree === undefined) throw new Error(`nothing to compare with: ${whyNoPeers()}`);
  symlinkSync(join(root, 'dist/sealtree.js'), join(scratch, 'sealtree'));
  for (const tool of ['ostree', 'mkcomposefs', 'fsverity']) {
    symlinkSync(join(root, 'dist/sealtree.js'), join(scratch, tool));
  }
  const measured = cases(tree)
    .filter(({ name }) => only === undefined || name.includes(only))
    .map(measure);
  const report = table(measured);
  process.stdout.write(`\n${report}`);
  if (!quick && only === undefined) record(report);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function cases(tree: string): Case[] {
  const at = (name: string) => join(scratch, name);
  const dump = (entries: number): Case => {
    const path = at(`${entries}.dump`);
    return {
      name: `mkcomposefs --from-file, ${entries.toLocaleString('en')} entries`,
      tool: 'mkcomposefs',
      prepare: () => {
        if (statSync(path, { throwIfNoEntry: false }) === undefined) makeDump(path, entries);
      },
      args: (who) => ['--from-file', '--print-digest', path, at(`${who}.cfs`)],
    };
  };
  const image = (what: string, path: string): Case => ({
    name: `mkcomposefs, ${what}`,
    tool: 'mkcomposefs',
    args: (who) => ['--print-digest', path, at(`${who}.cfs`)],
  });
  const commit = (mode: string, again: boolean): Case => ({
    name: `ostree commit --generate-composefs-metadata, ${mode}, ${again ? 'repeated' : 'first'}`,
    tool: 'ostree',
    prepare: (who) => {
      const repo = at(`${who}-${mode}`);
      if (again && statSync(repo, { throwIfNoEntry: false }) !== undefined) return;
      rmSync(repo, { recursive: true, force: true });
      run(realCommand('ostree', ['init', `--repo=${repo}`, `--mode=${mode}`]) as string[]);
      if (again) run(realCommand('ostree', commitArgs(repo)) as string[]);
    },
    args: (who) => commitArgs(at(`${who}-${mode}`)),
  });
  const commitArgs = (repo: string) => [
    'commit',
    `--repo=${repo}`,
    '--branch=bench',
    '--generate-composefs-metadata',
    '--timestamp=@1700000000',
    tree,
  ];
  const megabytes = quick ? 256 : 1024;
  return [
    dump(64_000),
    ...(quick ? [] : [dump(500_000)]),
    image('the root of a small Debian system', tree),
    image('/usr/share of this machine', '/usr/share'),
    ...(quick ? [] : [image('/usr of this machine', '/usr')]),
    {
      name: `fsverity digest, ${megabytes} MiB`,
      tool: 'fsverity',
      prepare: () => {
        if (statSync(at('large'), { throwIfNoEntry: false }) === undefined) makeLarge(at('large'), megabytes);
      },
      args: () => ['digest', at('large')],
    },
    ...['archive', 'bare-user'].flatMap((mode) => [commit(mode, false), commit(mode, true)]),
  ];
}

/** Runs both tools in turns, after one run of each that only warms the page cache and is compared. */
function measure({ name, tool, args, prepare }: Case): Measured {
  const commands = {
    theirs: () => realCommand(tool, args('theirs')) as string[],
    ours: () => [process.execPath, join(scratch, tool), ...args('ours')],
  };
  const once = (who: 'theirs' | 'ours') => {
    prepare?.(who);
    const command = commands[who]();
    const start = performance.now();
    const output = run(command);
    return { output, seconds: (performance.now() - start) / 1000 };
  };
  if (once('theirs').output !== once('ours').output) throw new Error(`${name}: the outputs differ`);
  const measured: Measured & Record<'theirs' | 'ours', number[]> = { name, theirs: [], ours: [] };
  for (let i = 0; i < runs; i++) {
    for (const who of i % 2 === 0 ? (['theirs', 'ours'] as const) : (['ours', 'theirs'] as const)) {
      measured[who].push(once(who).seconds);
    }
  }
  process.stdout.write(`${row(measured)}\n`);
  return measured;
}

function run([program, ...args]: string[]): string {
  const { status, stdout, stderr } = spawnSync(program as string, args, {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: process.env.HOME, LANG: 'C.UTF-8' },
  });
  if (status !== 0) throw new Error(`${[program, ...args].join(' ')}: ${stderr}`);
  return stdout;
}

function makeDump(path: string, entries: number): void {
  const file = openSync(path, 'w');
  writeSystemDump(entries, (text) => writeSync(file, text, null, 'latin1'));
  closeSync(file);
}

/** Bytes that do not repeat within a block; fs-verity does not care which they are. */
function makeLarge(path: string, megabytes: number): void {
  const file = openSync(path, 'w');
  const data = Buffer.alloc(1 << 20);
  for (let i = 0; i < megabytes; i++) {
    for (let at = 0; at < data.length; at += 4)
      data.writeUInt32LE(Math.imul(i * 262_144 + at, 2_654_435_761) >>> 0, at);
    writeSync(file, data);
  }
  closeSync(file);
}

function table(measured: readonly Measured[]): string {
  const cpu = cpus();
  return [
    `${cpu.length} × ${cpu[0]?.model ?? 'unknown processor'}, Linux ${release()}, Node.js ${process.versions.node}, ` +
      `load ${loadavg()[0]?.toFixed(1)}; ${runs} runs of each in turns, ${new Date().toISOString().slice(0, 10)}`,
    '',
    '| | real tool, median s (fastest) | sealtree, median s (fastest) | ratio of medians |',
    '|---|---|---|---|',
    ...measured.map(row),
    '',
  ].join('\n');
}

function row({ name, theirs, ours }: Measured): string {
  const cell = (seconds: readonly number[]) =>
    `${median(seconds).toFixed(2)} (${Math.min(...seconds).toFixed(2)})`;
  return `| ${name} | ${cell(theirs)} | ${cell(ours)} | ${(median(ours) / median(theirs)).toFixed(2)} |`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]] as [
    number,
    number,
  ];
  return (low + high) / 2;
}

/** Puts the table between the marks in docs/performance.md. */
function record(report: string): void {
  const path = join(root, 'docs/performance.md');
  mkdirSync(join(root, 'docs'), { recursive: true });
  const text = readFileSync(path, 'utf8');
  const [start, end] = [text.indexOf(START), text.indexOf(END)];
  if (start < 0 || end < start) throw new Error(`${path} has no place for the table`);
  writeFileSync(path, `${text.slice(0, start)}${START}${report}${text.slice(end)}`);
}
