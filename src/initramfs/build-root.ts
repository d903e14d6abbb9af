/**
 * A small Debian root with QuickJS and a C compiler, for hosts that have none: made once by debootstrap, then used
 * through chroot.
 * @module
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { byteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { ioError } from '../node/io-error.ts';
import { failureOf } from '../node/program-failure.ts';
import { forgetTemporary, registerTemporary } from '../node/temporary.ts';

/** The first release of Debian that has both packages of QuickJS. */
const SUITE = 'trixie';
const PACKAGES = ['gcc', 'libc6-dev', 'quickjs', 'libquickjs'];
/** In the root; its content says which packages are there. */
const MARK = 'etc/sealtree-build-root';
const DEFAULT_MIRROR = 'http://deb.debian.org/debian';

/** Where a root is kept if nobody says otherwise. */
export function defaultBuildRoot(): string {
  if (process.getuid?.() === 0) return '/var/cache/sealtree/build-root';
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sealtree/build-root');
}

/**
 * Makes the root unless it is there.
 *
 * @param say told what is being done, if it takes long
 * @throws SealtreeError `unsupported` where it cannot be made, with the reason
 */
export async function ensureBuildRoot(directory: string, say: (text: string) => void): Promise<void> {
  const wanted = `${SUITE} ${PACKAGES.join(' ')}\n`;
  if (isReady(directory, wanted)) return;
  const refuse = (why: string) => new SealtreeError('unsupported', `build root ${directory}: ${why}`);
  if (existsSync(directory) && readdirSync(directory).length > 0 && !existsSync(join(directory, MARK)))
    throw refuse('is not empty, and nothing that was made here');
  if (process.getuid?.() !== 0) throw refuse('making it needs root');
  say(`making a Debian root with a compiler in ${directory}, once`);
  const part = `${directory}.part-${randomBytes(4).toString('hex')}`;
  try {
    mkdirSync(dirname(directory), { recursive: true });
  } catch (error) {
    throw ioError(`making ${dirname(directory)}`, error);
  }
  registerTemporary(byteString(part));
  const known = `/usr/share/debootstrap/scripts/${SUITE}`;
  const words = ['--variant=minbase', `--include=${PACKAGES.join(',')}`, SUITE, part, distributionMirror()];
  if (!existsSync(known)) words.push('/usr/share/debootstrap/scripts/sid');
  // What debootstrap mounts goes with its mount namespace.
  const made = await execa('unshare', ['--mount', 'debootstrap', ...words], {
    reject: false,
    env: { LC_ALL: 'C.UTF-8' },
  });
  if (made.failed) throw refuse(`debootstrap: ${failureOf(made)}`);
  writeFileSync(join(part, MARK), wanted);
  try {
    renameSync(part, directory);
  } catch (error) {
    // Somebody else made it meanwhile, or an older one stands there.
    if (!isReady(directory, wanted)) throw ioError(`renaming ${part} to ${directory}`, error);
  }
  if (!existsSync(part)) forgetTemporary(byteString(part));
}

/** The command that runs a program in a root: as root through chroot, otherwise in a user namespace. */
export function commandInRoot(root: string, words: readonly string[]): [string, ...string[]] {
  if (process.getuid?.() === 0) return ['chroot', root, ...words];
  return ['unshare', '--user', '--map-root-user', '--root', root, ...words];
}

/**
 * Where apt takes the distribution itself from, if this is Debian: the first source whose suite is the release's own
 * name, in either of apt's two formats (sources.list(5)). Otherwise Debian's own address.
 */
export function distributionMirror(): string {
  const os = readIfThere('/etc/os-release');
  const release = /^VERSION_CODENAME=(.*)$/m.exec(os)?.[1] ?? 'stable';
  if (!/^ID=debian$/m.test(os)) return DEFAULT_MIRROR;
  const folder = '/etc/apt/sources.list.d';
  const names = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  for (const path of ['/etc/apt/sources.list', ...names.sort()]) {
    const text = readIfThere(path);
    const sources = path.endsWith('.sources') ? stanzaSources(text) : lineSources(text);
    const found = sources.find((source) => source.suites.includes(release));
    if (found !== undefined) return found.uri;
  }
  return DEFAULT_MIRROR;
}

function isReady(directory: string, wanted: string): boolean {
  return readIfThere(join(directory, MARK)) === wanted;
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

function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
