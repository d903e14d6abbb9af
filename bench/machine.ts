/** The machine and the programs of a run: what a figure means nothing without. @module */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import type { Tools } from './tools.ts';

export interface Machine {
  /** When the run began, as ISO 8601. */
  readonly when: string;
  readonly processor: string;
  /** Those features that hashing and compressing may use. */
  readonly features: readonly string[];
  readonly cores: number;
  readonly memory: number;
  readonly load: number;
  readonly fileSystem: string;
  readonly fsync: string;
  readonly versions: Readonly<Record<string, string>>;
}

/** As /proc/cpuinfo names them on x86-64 and aarch64. */
const FEATURES = ['sha_ni', 'avx2', 'avx512f', 'avx512vl', 'vaes', 'sha1', 'sha2', 'sha512', 'sha3', 'sve'];

/** @param folder where the runs write */
export function describeMachine(tools: Tools, folder: string): Machine {
  const cpu = readFileSync('/proc/cpuinfo', 'latin1');
  const field = (pattern: RegExp) => pattern.exec(cpu)?.[1]?.trim() ?? '';
  const flags = field(/^(?:flags|Features)\s*:(.*)$/m).split(' ');
  return {
    when: new Date().toISOString(),
    processor: field(/^model name\s*:(.*)$/m) || process.arch,
    features: FEATURES.filter((name) => flags.includes(name)),
    cores: availableParallelism(),
    memory: totalmem(),
    load: loadavg()[0] ?? 0,
    fileSystem: fileSystemOf(folder),
    fsync: 'on in all repositories, the default of both',
    versions: versions(tools),
  };
}

/** A name for the program as it is built and for what measures it. */
export function buildOf(tools: Tools): string {
  const hash = createHash('sha256');
  const folder = join(tools.root, 'dist');
  for (const name of readdirSync(folder).sort()) {
    // Compiled code differs from build to build.
    if (!name.endsWith('.code')) hash.update(name).update(readFileSync(join(folder, name)));
  }
  return hash.digest('hex').slice(0, 12);
}

function versions(tools: Tools): Record<string, string> {
  const first = (command: readonly string[], pattern: RegExp) => {
    const { stdout, stderr } = spawnSync(command[0] as string, command.slice(1), { encoding: 'latin1' });
    return pattern.exec(`${stdout ?? ''}${stderr ?? ''}`)?.[1] ?? 'not there';
  };
  const packages = readFileSync(join(tools.tree, 'var/lib/dpkg/status'), 'latin1');
  const composefs = /^Package: composefs\n(?:.+\n)*?Version: (.*)$/m.exec(packages)?.[1] ?? 'not there';
  return {
    sealtree: first(tools.ours('sealtree', ['--version']), /^sealtree (.*)/),
    commit: first(['git', '-C', tools.root, 'rev-parse', '--short', 'HEAD'], /^([0-9a-f]+)/),
    'native part': existsSync(join(tools.root, 'dist/native.node')) ? 'built' : 'not built',
    'Node.js': process.versions.node,
    'OpenSSL in Node.js': process.versions.openssl,
    ostree: first(tools.theirs('ostree', ['--version']), /Version: '(.*)'/),
    composefs,
    fsverity: first(tools.theirs('fsverity', ['--version']), /^fsverity v?(.*)/),
    openssl: first(['openssl', 'version'], /^OpenSSL (\S+)/),
    Linux: release(),
  };
}

/** Type and options of the file system that holds a folder, by the longest mount point that leads to it. */
function fileSystemOf(folder: string): string {
  const mounts = readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .map((line) => /^\S+ \S+ \S+ \S+ (\S+) (\S+) .*?- (\S+) \S+ (\S*)/.exec(line))
    .filter((found) => found !== null)
    .filter(([, at]) => at === '/' || folder === at || folder.startsWith(`${at}/`));
  const last = mounts.sort((a, b) => (a[1] as string).length - (b[1] as string).length).at(-1);
  return last == null ? 'unknown' : `${last[3]} (${last[2]}; ${last[4]})`;
}
