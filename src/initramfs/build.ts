/**
 * The boot program: what esbuild made of initramfs/prepare-root.ts, compiled by qjsc to bytecode, and that linked with
 * initramfs/sys.c and QuickJS to one static executable. The same inputs and compiler give the same bytes.
 * @module
 */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { byteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { ioError } from '../node/io-error.ts';
import { failureOf } from '../node/program-failure.ts';
import { forgetTemporary, registerTemporary } from '../node/temporary.ts';
import { commandInRoot, defaultBuildRoot, ensureBuildRoot } from './build-root.ts';

export interface BuildOptions {
  /**
   * A Debian root with the compiler, made if it is not there. Undefined: what this host has is tried first, then the
   * root at its usual place.
   */
  readonly buildRoot?: string | undefined;
  /** A C compiler of this host, of another processor as well; nothing else is then tried. */
  readonly compiler?: string | undefined;
  /** Told what takes long. */
  readonly say?: ((text: string) => void) | undefined;
  /** Another program than our own, as one script: what tests compile. */
  readonly script?: string | undefined;
}

export interface BuiltProgram {
  readonly executable: Uint8Array;
  readonly sha256: string;
  /** `this host`, or the root. */
  readonly madeBy: string;
}

/**
 * Makes the executable.
 *
 * @throws SealtreeError `unsupported`: what to install; `io`
 */
export async function buildProgram(options: BuildOptions = {}): Promise<BuiltProgram> {
  const { buildRoot, compiler, say = () => {} } = options;
  if (buildRoot !== undefined && compiler !== undefined)
    throw new SealtreeError('usage', 'a build root has a compiler of its own');
  if (buildRoot === undefined) {
    const made = await buildHere(options);
    if (!('reason' in made)) return made;
    if (compiler !== undefined) throw new SealtreeError('unsupported', `${compiler}: ${made.reason}`);
    const root = defaultBuildRoot();
    if (!existsSync(root) && !(await canMakeRoot())) {
      const advice =
        'install quickjs, libquickjs and a C compiler with static libraries, or debootstrap (as root)';
      throw new SealtreeError(
        'unsupported',
        `the boot program cannot be compiled here: ${made.reason}; ${advice}`,
      );
    }
    return buildInRoot(root, options.script, say);
  }
  return buildInRoot(resolve(buildRoot), options.script, say);
}

const CC_WORDS = [
  '-Os',
  '-std=gnu11',
  '-static-pie',
  '-fPIE',
  '-fstack-protector-strong',
  '-D_FORTIFY_SOURCE=2',
  '-Wl,-z,now',
  '-s',
  '-ffunction-sections',
  '-fdata-sections',
  '-Wl,--gc-sections',
  '-Wl,--build-id=none',
];
const QJSC_WORDS = ['-c', '-s', '-N', 'program', '-o', 'program.c', 'prepare-root.js'];

async function canMakeRoot(): Promise<boolean> {
  const tried = await execa('debootstrap', ['--version'], { reject: false });
  return process.getuid?.() === 0 && !tried.failed;
}

interface Library {
  readonly file: string;
  /** Folder of quickjs.h. */
  readonly include: string;
}

/**
 * The static library, wherever the distribution puts it.
 *
 * @param machine for which the compiler compiles, as it says itself: `aarch64-linux-gnu`
 */
function findLibrary(machine: string): Library | undefined {
  for (const prefix of ['/usr/local', '/usr']) {
    const include = [`${prefix}/include/quickjs`, `${prefix}/include`].find((folder) =>
      existsSync(join(folder, 'quickjs.h')),
    );
    const folders = ['lib', 'lib64'].flatMap((name) => {
      const folder = join(prefix, name);
      return [machine, ''].map((below) => join(folder, below));
    });
    const file = folders
      .flatMap((folder) => [join(folder, 'quickjs/libquickjs.a'), join(folder, 'libquickjs.a')])
      .find((path) => existsSync(path));
    if (include !== undefined && file !== undefined) return { file, include };
  }
  return undefined;
}

async function buildHere({ compiler, script }: BuildOptions): Promise<BuiltProgram | { reason: string }> {
  const command = compiler ?? 'cc';
  const machine = await execa(command, ['-dumpmachine'], { reject: false });
  if (machine.failed) return { reason: `${command}: ${failureOf(machine)}` };
  const library = findLibrary(machine.stdout.trim());
  if (library === undefined) return { reason: 'there is no libquickjs.a' };
  return inWorkDirectory(tmpdir(), script, async (directory) => {
    const qjsc = await execa('qjsc', QJSC_WORDS, { cwd: directory, reject: false });
    if (qjsc.failed) return { reason: `qjsc: ${failureOf(qjsc)}` };
    const words = [...ccWords(library.include), library.file, '-lm'];
    const cc = await execa(command, words, { cwd: directory, reject: false });
    if (cc.failed) return { reason: `${command}: ${failureOf(cc)}` };
    // Bytecode of a qjsc that does not belong to the library, or is too old, is refused by the library.
    if (script === undefined && compiler === undefined) {
      const tried = await execa(join(directory, 'program'), ['--version'], { reject: false });
      if (tried.failed) return { reason: `what it makes does not run: ${failureOf(tried)}` };
    }
    return finished(directory, 'this host');
  });
}

async function buildInRoot(
  root: string,
  script: string | undefined,
  say: (text: string) => void,
): Promise<BuiltProgram> {
  await ensureBuildRoot(root, say);
  return inWorkDirectory(join(root, 'tmp'), script, async (directory) => {
    const place = directory.slice(root.length);
    const shell = `cd ${place} && qjsc ${QJSC_WORDS.join(' ')} && cc ${ccWords('/usr/include/quickjs').join(' ')} /usr/lib/*/quickjs/libquickjs.a -lm`;
    const [program, ...words] = commandInRoot(root, ['sh', '-c', shell]);
    const made = await execa(program, words, {
      reject: false,
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' },
      extendEnv: false,
    });
    if (made.failed) throw new SealtreeError('unsupported', `build root ${root}: ${failureOf(made)}`);
    return finished(directory, root);
  });
}

function ccWords(include: string): string[] {
  return [...CC_WORDS, `-I${include}`, '-o', 'program', 'program.c', 'sys.c'];
}

/** Runs with the sources in a directory of its own, which is gone afterwards. */
async function inWorkDirectory<T>(
  parent: string,
  script: string | undefined,
  work: (directory: string) => Promise<T>,
): Promise<T> {
  let directory: string;
  try {
    directory = mkdtempSync(join(parent, 'sealtree-'));
  } catch (error) {
    throw ioError(`making a directory in ${parent}`, error);
  }
  registerTemporary(byteString(directory));
  try {
    copyFileSync(script ?? source('prepare-root.js'), join(directory, 'prepare-root.js'));
    copyFileSync(source('prepare-root.c'), join(directory, 'sys.c'));
    return await work(directory);
  } catch (error) {
    throw error instanceof SealtreeError ? error : ioError('compiling the boot program', error);
  } finally {
    rmSync(directory, { recursive: true, force: true });
    forgetTemporary(byteString(directory));
  }
}

/** What `npm run build` put beside the bundle. */
function source(name: string): string {
  return fileURLToPath(new URL(`./${name}`, import.meta.url));
}

function finished(directory: string, madeBy: string): BuiltProgram {
  const executable = readFileSync(join(directory, 'program'));
  return { executable, sha256: createHash('sha256').update(executable).digest('hex'), madeBy };
}
