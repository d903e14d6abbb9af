/**
 * The real tools to compare with: a small Debian testing root, made once and kept outside the clone, whose programs are
 * run in place by their own dynamic loader. They see the same files at the same paths as the tests, and nothing is
 * mounted.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ByteString } from '../src/core/bytes/byte-string.ts';
import { expectSuccess, type Ran, type RunOptions, run, type Word } from './run.ts';

export type RealTool =
  | 'ostree'
  | 'mkcomposefs'
  | 'composefs-info'
  | 'mount.composefs'
  | 'fsverity'
  | 'mkfs.erofs';

/** ostree 2026.4 and composefs 1.0.8 came with forky; `testing` is its name for as long as it is not released. */
const SUITES = ['forky', 'testing'];
const PACKAGES = ['ostree', 'composefs', 'fsverity', 'erofs-utils'];
const FOLDER = process.env.SEALTREE_PEERS ?? '/var/cache/sealtree-peers';
const LOADERS: Partial<Record<string, readonly [loader: string, libraries: string]>> = {
  x64: ['lib64/ld-linux-x86-64.so.2', 'usr/lib/x86_64-linux-gnu'],
  arm64: ['usr/lib/ld-linux-aarch64.so.1', 'usr/lib/aarch64-linux-gnu'],
};

/** Where the root with the real tools is, if it was made. It is also a tree worth committing. */
export function peersRoot(): string | undefined {
  for (const suite of SUITES) {
    if (readIfThere(join(FOLDER, `${suite}.complete`)) === PACKAGES.join(',')) return join(FOLDER, suite);
  }
  return undefined;
}

/** Why there is no such root; undefined if there is one. */
export function whyNoPeers(): string | undefined {
  if (peersRoot() !== undefined) return undefined;
  return process.env.SEALTREE_PEERS_FAILURE ?? `run npm test once as root to have them made in ${FOLDER}`;
}

/** The command that runs a real tool. */
export function realCommand(tool: RealTool, args: readonly Word[]): Word[] {
  const root = peersRoot();
  const [loader, libraries] = LOADERS[process.arch] ?? [];
  if (root === undefined || loader === undefined || libraries === undefined) {
    throw new Error(`no real ${tool}: ${whyNoPeers() ?? process.arch}`);
  }
  const program = ['usr/bin', 'usr/sbin'].map((path) => join(root, path, tool)).find(existsSync);
  if (program === undefined) throw new Error(`${root} has no ${tool}`);
  return [join(root, loader), '--argv0', tool, '--library-path', join(root, libraries), program, ...args];
}

/** Runs a real tool to its end. */
export function real(tool: RealTool, args: readonly Word[], options: Omit<RunOptions, 'program'> = {}): Ran {
  return run(realCommand(tool, args), options);
}

/** Runs a real tool, which must succeed. @returns its standard output */
export function realOk(
  tool: RealTool,
  args: readonly Word[],
  options: Omit<RunOptions, 'program'> = {},
): ByteString {
  return expectSuccess(real(tool, args, options), [tool, ...args]);
}

/** Makes the root unless it is there; runs at the same time share it. A failure is kept for `whyNoPeers`. */
export function makePeers(): void {
  if (peersRoot() !== undefined || process.getuid?.() !== 0) return;
  try {
    if (LOADERS[process.arch] === undefined) throw new Error(`no real tools are known for ${process.arch}`);
    installDebootstrap();
    const made = spawnSync('mkdir', ['--parents', FOLDER], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(lastLine(made.stderr));
    const mirror = distributionMirror();
    const failures = SUITES.map((suite) => (peersRoot() === undefined ? bootstrap(suite, mirror) : ''));
    if (peersRoot() === undefined) throw new Error(failures.join('; '));
  } catch (error) {
    process.env.SEALTREE_PEERS_FAILURE = (error as Error).message;
  }
}

function installDebootstrap(): void {
  if (succeeds('debootstrap', ['--version'])) return;
  if (!succeeds('apt-get', ['--version'])) throw new Error('neither debootstrap nor apt-get is here');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', ['update', '--quiet'], { env, stdio: 'ignore' });
  const args = ['install', '--quiet', '--yes', '--no-install-recommends', 'debootstrap'];
  const { status, stderr } = spawnSync('apt-get', args, { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`apt-get ${args.join(' ')}: ${lastLine(stderr)}`);
}

/**
 * Under the lock, so that of two runs one makes the root and the other finds it. The name ends in `.complete` only
 * when all is there. What debootstrap mounts goes with its mount namespace, where one is to be had.
 *
 * @returns why it failed, or an empty string
 */
function bootstrap(suite: string, mirror: string): string {
  const script = `
    set -e
    [ "$(cat "$TARGET.complete" 2>/dev/null)" != "$PACKAGES" ] || exit 0
    rm -rf "$TARGET" "$TARGET.complete"
    known=/usr/share/debootstrap/scripts/$SUITE
    [ -e "$known" ] || known=/usr/share/debootstrap/scripts/sid
    apart=; ! unshare --mount true 2>/dev/null || apart='unshare --mount'
    $apart debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$TARGET" "$MIRROR" "$known"
    for folder in dev proc sys run; do find "$TARGET/$folder" -mindepth 1 -delete; done
    rm -rf "$TARGET"/var/cache/apt/archives/*.deb
    printf %s "$PACKAGES" >"$TARGET.part" && mv "$TARGET.part" "$TARGET.complete"`;
  const { status, stdout, stderr } = spawnSync('flock', [join(FOLDER, '.lock'), 'sh', '-c', script], {
    env: {
      ...process.env,
      LC_ALL: 'C.UTF-8',
      SUITE: suite,
      TARGET: join(FOLDER, suite),
      MIRROR: mirror,
      PACKAGES: PACKAGES.join(','),
    },
    encoding: 'utf8',
    maxBuffer: Number.POSITIVE_INFINITY,
  });
  return status === 0 ? '' : `debootstrap ${suite}: ${lastLine(stderr) || lastLine(stdout)}`;
}

/**
 * Where apt takes the distribution itself from: the first source whose suite is the release's own name, in either of
 * apt's two formats (sources.list(5)).
 */
function distributionMirror(): string {
  const release = /^VERSION_CODENAME=(.*)$/m.exec(readIfThere('/etc/os-release') ?? '')?.[1] ?? 'stable';
  const folder = '/etc/apt/sources.list.d';
  const names = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  for (const path of ['/etc/apt/sources.list', ...names.sort()]) {
    const text = readIfThere(path) ?? '';
    const sources = path.endsWith('.sources') ? stanzaSources(text) : lineSources(text);
    const found = sources.find((source) => source.suites.includes(release));
    if (found !== undefined) return found.uri;
  }
  throw new Error(`apt has no source for ${release}`);
}

interface AptSource {
  readonly uri: string;
  readonly suites: readonly string[];
}

function stanzaSources(text: string): AptSource[] {
  return text.split(/\n\s*\n/).flatMap((stanza) => {
    const words = (name: string) =>
      new RegExp(`^${name}:(.*(?:\\n[ \\t].*)*)`, 'im').exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
    if (!words('Types').includes('deb') || words('Enabled')[0] === 'no') return [];
    return words('URIs').map((uri) => ({ uri, suites: words('Suites') }));
  });
}

function lineSources(text: string): AptSource[] {
  return [...text.matchAll(/^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)/gm)].map((match) => ({
    uri: match[1] as string,
    suites: [match[2] as string],
  }));
}

function succeeds(program: string, args: readonly string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}

function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
