/** The boot program, compiled once for these sources and kept, and other scripts compiled in its place. @module */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installDebootstrap } from '../debian.ts';
import { run, sealtreeOk } from '../run.ts';

/** A Debian root with the compiler; `initramfs build` makes it. */
const FOLDER = process.env.SEALTREE_PEERS ?? '/var/cache/sealtree-peers';
export const BUILD_ROOT = join(FOLDER, 'build-root');
const dist = fileURLToPath(new URL('../../dist/', import.meta.url));

/** Why the program cannot be compiled here; undefined if it was. */
export function whyNoProgram(): string | undefined {
  if (existsSync(programPath())) return undefined;
  return process.env.SEALTREE_PROGRAM_FAILURE ?? `run npm test once as root to have it made in ${FOLDER}`;
}

/** Compiles it unless that was done. A failure is kept for `whyNoProgram`. */
export function makeProgram(): void {
  if (whyNoProgram() === undefined || process.getuid?.() !== 0) return;
  try {
    if (!existsSync(BUILD_ROOT)) installDebootstrap();
    bootProgram();
  } catch (error) {
    process.env.SEALTREE_PROGRAM_FAILURE = (error as Error).message;
  }
}

/** Path of the executable. */
export function bootProgram(): string {
  const path = programPath();
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true });
    const part = `${path}.${process.pid}`;
    sealtreeOk(['initramfs', 'build', '--build-root', BUILD_ROOT, '--output', part], { timeout: 900_000 });
    renameSync(part, path);
  }
  return path;
}

/**
 * Compiles a script as the program is compiled.
 *
 * @param alter what is done to the C that qjsc made, before it is compiled
 * @returns path of the executable in `directory`
 */
export function compileScript(directory: string, name: string, script: string, alter = ''): string {
  bootProgram();
  const source = join(directory, `${name}.js`);
  const program = join(directory, name);
  writeFileSync(source, script);
  const shell = `
    set -e
    work=$(mktemp -d -p "$ROOT/tmp")
    trap 'rm -rf "$work"' EXIT
    cp "$SOURCE" "$work/script.js"
    cp "$SYS" "$work/sys.c"
    chroot "$ROOT" sh -euc "cd /tmp/\${work##*/}; qjsc -c -s -N program -o program.c script.js"
    (cd "$work"; ${alter === '' ? ':' : alter})
    chroot "$ROOT" sh -euc "cd /tmp/\${work##*/}; cc -O1 -static -I/usr/include/quickjs -o program program.c sys.c /usr/lib/*/quickjs/libquickjs.a -lm"
    cp "$work/program" "$PROGRAM"`;
  const ran = run(['sh', '-c', shell], {
    env: { ROOT: BUILD_ROOT, SOURCE: source, SYS: join(dist, 'prepare-root.c'), PROGRAM: program },
  });
  if (ran.status !== 0) throw new Error(`${name}: ${ran.stderr}`);
  return program;
}

function programPath(): string {
  const sources = ['prepare-root.js', 'prepare-root.c'].map((name) => readFileSync(join(dist, name)));
  const key = createHash('sha256').update(sources.join('\0')).digest('hex').slice(0, 16);
  return join(FOLDER, `prepare-root-${key}`);
}
