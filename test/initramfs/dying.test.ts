/**
 * Every way in which the boot program can end but one is a refusal: a status other than 0, and where it can still speak
 * a line that says so. Scripts that die are compiled in place of the program, with its own C around them.
 * @module
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { requires } from '../requires.ts';
import { run } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';
import { bootProgram, compileScript } from './program.ts';

const { describe, it } = requires({ root: true, program: true });

const TOKEN = '0x5ea17ee5';
const SUCCEED = `sys.succeed(${TOKEN});`;

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('dying');
});
afterAll(() => removeDirectory(scratch));

/** Name, script, what stands behind the program's name on standard error, and what is done to the compiled script. */
const DEATHS: readonly (readonly [name: string, script: string, message: RegExp, alter?: string])[] = [
  ['nothing said', ';', /^ended without having verified anything$/],
  ['a wrong token', 'sys.succeed(1);', /^ended without having verified anything$/],
  ['a token taken back', `${SUCCEED} sys.succeed(0);`, /^ended without having verified anything$/],
  ['no token', 'sys.succeed();', /^ended without having verified anything$/],
  ['a token of another kind', `sys.succeed({ valueOf() { throw new Error('no number'); } });`, /^no number$/],
  ['an exception', `throw new Error('thrown');`, /^thrown$/],
  ['an exception behind the token', `${SUCCEED} throw new Error('afterwards');`, /^afterwards$/],
  ['something else thrown', `${SUCCEED} throw 'a string';`, /^a string$/],
  ['an exception without words', `${SUCCEED} throw { toString() { throw 1; } };`, /^out of memory$/],
  ['a rejected promise', `${SUCCEED} Promise.reject(new Error('x'));`, /'Promise' is not defined/],
  ['an async function', `${SUCCEED} (async () => { throw new Error('x'); })();`, /./],
  ['an exception in a timer', `${SUCCEED} setTimeout(() => { throw 1; }, 0);`, /'setTimeout' is not defined/],
  ['eval', `${SUCCEED} eval('1');`, /eval/],
  ['a function from text', `${SUCCEED} new Function('return 1')();`, /./],
  ['a call without enough arguments', `${SUCCEED} sys.openat(1);`, /^openat: too few arguments$/],
  ['a call with too many', `${SUCCEED} sys.getpid(1);`, /^getpid: too many arguments$/],
  ['a string that does not end', `${SUCCEED} sys.chdir(new ArrayBuffer(0));`, /bytes, 1 are needed$/],
  ['a string that is none', `${SUCCEED} sys.chdir('/');`, /./],
  [
    'a string without an end',
    `${SUCCEED} sys.chdir(new Uint8Array([47]).buffer);`,
    /^string without an end$/,
  ],
  ['a buffer that is too small', `${SUCCEED} sys.fstatfs(0, new ArrayBuffer(8));`, /^buffer of 8 bytes/],
  ['endless recursion', `${SUCCEED} (function f() { return f() + 1; })();`, /stack/],
  [
    'memory that runs out',
    `${SUCCEED} const all = []; for (;;) all.push(new Uint8Array(1 << 20));`,
    /^out of memory$/,
  ],
  ['strings that fill the memory', `${SUCCEED} let s = 'x'; for (;;) s += s + s.length;`, /./],
  [
    'bytecode of no bytes',
    SUCCEED,
    /./,
    "sed -i 's/^const uint32_t program_size = .*/const uint32_t program_size = 0;/' program.c",
  ],
  [
    'bytecode that is cut short',
    SUCCEED,
    /./,
    "sed -i 's/^const uint32_t program_size = .*/const uint32_t program_size = 20;/' program.c",
  ],
  ['bytecode of another version', SUCCEED, /version/, "sed -i '0,/^ 0x[0-9a-f]*,/s// 0xff,/' program.c"],
];

describe('a refusal is', () => {
  for (const [name, script, message, alter] of DEATHS) {
    it(name, () => {
      const program = compileScript(scratch, 'dying', script, alter);
      const { status, stdout, stderr } = run([program]);
      expect(stderr).toMatch(/^ostree-prepare-root: .*\n$/);
      expect(stderr.slice('ostree-prepare-root: '.length, -1)).toMatch(message);
      expect([status, stdout]).toEqual([1, '']);
    });
  }

  it('bytecode that ends in the middle of a function, which QuickJS does not survive', () => {
    const cut = "sed -i 's/^const uint32_t program_size = .*/const uint32_t program_size = 40;/' program.c";
    const { status, signal } = run([compileScript(scratch, 'dying', SUCCEED, cut)]);
    expect([status, signal]).toEqual([-1, 'SIGSEGV']);
  });

  it('an executable that is cut short', () => {
    const program = readFileSync(bootProgram());
    for (const part of [0.2, 0.5, 0.8, 0.99]) {
      const path = join(scratch, 'cut');
      writeFileSync(path, program.subarray(0, program.length * part), { mode: 0o755 });
      expect(run(['sh', '-c', '"$0" --version', path]).status).not.toBe(0);
    }
  });

  it('a signal', () => {
    const program = compileScript(scratch, 'dying', `${SUCCEED} for (;;) {}`);
    const { status, signal } = run(['timeout', '--signal=KILL', '0.2', program]);
    expect(status !== 0 || signal !== null).toBe(true);
  });

  it('a call with nonsense of any kind', () => {
    // Descriptors that are not open, buffers of all sizes, numbers of all sizes: answered by the kernel or by an
    // exception, and never by a crash. Calls that wait, end other programs or leave something behind are left out.
    const script = `
      const out = [];
      let seed = 1;
      const random = (n) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
      const some = () => [null, undefined, -1, 99, 1e300, NaN, 2 ** 53, -(2 ** 63), '', 'x', [], {}, [new ArrayBuffer(3)],
        new ArrayBuffer(0), new ArrayBuffer(1), new ArrayBuffer(16), new ArrayBuffer(4096), 12n, 1n << 70n, true,
        Symbol.iterator, () => 1][random(22)];
      const left = ['reboot', 'sync', 'nanosleep', 'dup3', 'close', 'setsid', 'umask', 'getrandom', 'read', 'write', 'fsync', 'succeed'];
      for (const name of Object.keys(sys).filter((name) => !left.includes(name))) {
        for (let i = 0; i < 400; i++) {
          const args = Array.from({ length: random(7) }, some);
          try { sys[name](...args); } catch (error) { if (!(error instanceof Error)) throw error; }
        }
      }
      ${SUCCEED}`;
    const program = compileScript(scratch, 'nonsense', script);
    const ran = run(['unshare', '--mount', program]);
    expect([ran.status, ran.signal, ran.stderr]).toEqual([0, null, '']);
  });
});

it('success is the token and a return', () => {
  const program = compileScript(scratch, 'living', SUCCEED);
  expect(run([program])).toMatchObject({ status: 0, stdout: '', stderr: '' });
});

it('the program says its version', () => {
  expect(run([bootProgram(), '--version'])).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^sealtree \S+ \d+\.\d+\.\d+\n$/),
  });
});

it('without a word it asks for one', () => {
  expect(run([bootProgram()])).toMatchObject({
    status: 1,
    stderr: 'ostree-prepare-root: usage: ostree-prepare-root SYSROOT [KERNEL_CMDLINE]\n',
  });
});

it('takes no option that it does not know', () => {
  // As ostree-prepare-root's own option parser says it.
  expect(run([bootProgram(), '--nonsense', '/sysroot'])).toMatchObject({
    status: 1,
    stderr: 'ostree-prepare-root: Error parsing options: Unknown option --nonsense\n',
  });
});
