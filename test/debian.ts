/**
 * Small Debian roots, made once by debootstrap and kept outside the clone, whose programs are run in place by their own
 * dynamic loader, so that they see the same files at the same paths as the tests.
 * @module
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { distributionMirror } from '../src/initramfs/build-root.ts';
import type { Word } from './run.ts';

/** `testing` is forky's name for as long as it is not released. */
const SUITES = ['forky', 'testing'];
const LOADERS: Partial<Record<string, readonly [loader: string, libraries: string]>> = {
  x64: ['lib64/ld-linux-x86-64.so.2', 'usr/lib/x86_64-linux-gnu'],
  arm64: ['usr/lib/ld-linux-aarch64.so.1', 'usr/lib/aarch64-linux-gnu'],
};

/** Where the root with these packages is, if it was made in this folder. */
export function findRoot(folder: string, packages: readonly string[]): string | undefined {
  for (const suite of SUITES) {
    if (readIfThere(join(folder, `${suite}.complete`)) === packages.join(',')) return join(folder, suite);
  }
  return undefined;
}

/** The command that runs a program of a root. */
export function rootCommand(root: string, name: string, args: readonly Word[]): Word[] {
  const [loader, libraries] = LOADERS[process.arch] ?? [];
  if (loader === undefined || libraries === undefined) throw new Error(`no ${name} for ${process.arch}`);
  const program = ['usr/bin', 'usr/sbin'].map((path) => join(root, path, name)).find(existsSync);
  if (program === undefined) throw new Error(`${root} has no ${name}`);
  return [join(root, loader), '--argv0', name, '--library-path', join(root, libraries), program, ...args];
}

/** Makes the root unless it is there; runs at the same time share it. @throws with the reason why it cannot be made */
export function makeRoot(folder: string, packages: readonly string[]): string {
  if (LOADERS[process.arch] === undefined) throw new Error(`no Debian tools are known for ${process.arch}`);
  installDebootstrap();
  const made = spawnSync('mkdir', ['--parents', folder], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(lastLine(made.stderr));
  const mirror = distributionMirror();
  const failures = SUITES.map((suite) =>
    findRoot(folder, packages) === undefined ? bootstrap(folder, packages, suite, mirror) : '',
  );
  const root = findRoot(folder, packages);
  if (root === undefined) throw new Error(failures.join('; '));
  return root;
}

/** @throws with the reason why there is none and none can be had */
export function installDebootstrap(): void {
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
function bootstrap(folder: string, packages: readonly string[], suite: string, mirror: string): string {
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
  try {
    lockedScript(folder, script, {
      SUITE: suite,
      TARGET: join(folder, suite),
      MIRROR: mirror,
      PACKAGES: packages.join(','),
    });
    return '';
  } catch (error) {
    return `debootstrap ${suite}: ${(error as Error).message}`;
  }
}

/** Runs shell lines while no other run changes the folder. @throws with the last line that they wrote */
export function lockedScript(folder: string, script: string, env: Readonly<Record<string, string>>): void {
  const { status, stdout, stderr } = spawnSync('flock', [join(folder, '.lock'), 'sh', '-c', script], {
    env: { ...process.env, LC_ALL: 'C.UTF-8', ...env },
    encoding: 'utf8',
    maxBuffer: Number.POSITIVE_INFINITY,
  });
  if (status !== 0) throw new Error(lastLine(stderr) || lastLine(stdout) || `status ${status}`);
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
