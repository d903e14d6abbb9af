/** Input that is bad, and machines that say no: one clear line, a status, a valid repository, nothing left behind. */
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  futimesSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mountNamespace } from '../namespace.ts';
import { real } from '../peers.ts';
import { asOtherUser, requires } from '../requires.ts';
import { link, type Ran, run, sealtree, sealtreeOk, startSealtree } from '../run.ts';
import { makeFiles, removeDirectory, scratchDirectory } from '../trees.ts';

const asRoot = requires({ root: true });
const asUser = requires({ otherUser: true });
const hasPeers = requires({ peers: true }).reason === undefined;
const onTmpfs = requires({ mount: 'tmpfs' });

let scratch = '';
beforeAll(() => {
  scratch = scratchDirectory('bad');
  chmodSync(scratch, 0o777);
});
afterAll(() => removeDirectory(scratch));

const ostree = (args: readonly string[]) => sealtree(args, { program: 'ostree' });
const ostreeOk = (args: readonly string[]) => sealtreeOk(args, { program: 'ostree' });

describe('a tree that cannot be committed is refused:', () => {
  let repo = '';
  let head = '';
  beforeAll(() => {
    repo = join(scratch, 'tree-repo');
    ostreeOk(['init', `--repo=${repo}`, '--mode=bare-user']);
    head = ostreeOk(['commit', `--repo=${repo}`, '--branch=main', makeFiles(join(scratch, 'good'), 20)]);
  });

  const commit = (tree: string) => ['commit', `--repo=${repo}`, '--branch=main', tree];
  const expectUnchanged = () => {
    expect(ostreeOk([`--repo=${repo}`, 'rev-parse', 'main'])).toBe(head);
    expectClean(repo);
  };

  it('a fifo', () => {
    const tree = makeFiles(join(scratch, 'fifo'), 20);
    run(['mkfifo', join(tree, 'folder-0/pipe')]);
    expectRefused(ostree(commit(tree)), /pipe/);
    expectUnchanged();
  });

  it('a socket', async () => {
    const tree = makeFiles(join(scratch, 'socket'), 20);
    const server = createServer().listen(join(tree, 'socket'));
    await once(server, 'listening');
    expectRefused(ostree(commit(tree)), /socket/);
    server.close();
    expectUnchanged();
  });

  for (const [name, type] of [
    ['character', 'c'],
    ['block', 'b'],
  ] as const) {
    asRoot.it(`a ${name} device`, () => {
      const tree = makeFiles(join(scratch, name), 20);
      run(['mknod', join(tree, 'device'), type, '7', '99']);
      expectRefused(ostree(commit(tree)), /device/);
      expectUnchanged();
    });
  }

  it('a name that is not UTF-8', () => {
    const tree = makeFiles(join(scratch, 'bytes'), 20);
    writeFileSync(Buffer.concat([Buffer.from(`${tree}/bad-`), Buffer.from([0xff, 0xfe])]), '');
    expectRefused(ostree(commit(tree)), /Invalid UTF-8.*bad-/);
    expectUnchanged();
  });

  it('a tree that is not there, and one that is a file', () => {
    expectRefused(ostree(commit(join(scratch, 'nowhere'))), /No such file or directory/);
    expectRefused(ostree(commit('/etc/passwd')), /Not a directory|passwd/);
    expectUnchanged();
  });

  it('a file that grows, shrinks or is rewritten, even with its time set back, while it is read', async () => {
    for (const change of ['grow', 'shrink', 'rewrite', 'set back']) {
      const tree = makeFiles(join(scratch, change), 5);
      const file = openSync(join(tree, 'changing'), 'w+');
      ftruncateSync(file, 400_000_000);
      futimesSync(file, 1000, 1000);
      const child = startSealtree(commit(tree), { program: 'ostree', stdio: ['ignore', 'pipe', 'pipe'] });
      let [stdout, stderr] = ['', ''];
      child.stdout?.on('data', (data) => (stdout += data));
      child.stderr?.on('data', (data) => (stderr += data));
      let size = 400_000_000;
      const timer = setInterval(() => {
        size += change === 'grow' ? 1000 : change === 'shrink' ? -1000 : 0;
        if (change === 'grow' || change === 'shrink') ftruncateSync(file, size);
        else writeSync(file, `${Date.now()}`, 399_000_000);
        if (change === 'set back') futimesSync(file, 1000, 1000);
      }, 2);
      const [status, signal] = await once(child, 'close');
      clearInterval(timer);
      closeSync(file);
      const ran = { status, signal, stdout, stderr } as Ran;
      expectRefused(ran, /changing.*changed|changed.*changing/);
      expectUnchanged();
      rmSync(tree, { recursive: true });
    }
  });

  asUser.it('a file and a directory that may not be read', () => {
    const tree = makeFiles(join(scratch, 'unreadable'), 20);
    const own = join(scratch, 'own-repo');
    const user = (args: string[]) => run(asOtherUser([process.execPath, link('ostree'), ...args]));
    expect(user(['init', `--repo=${own}`, '--mode=archive']).status).toBe(0);
    writeFileSync(join(tree, 'secret'), 'x', { mode: 0 });
    const call = ['commit', `--repo=${own}`, '--branch=main', tree];
    expectRefused(user(call), /secret.*Permission denied/);
    rmSync(join(tree, 'secret'));
    mkdirSync(join(tree, 'closed'), { mode: 0 });
    expectRefused(user(call), /closed.*Permission denied/);
    expectClean(own);
    rmSync(join(tree, 'closed'), { recursive: true });
    expect(user(call).status).toBe(0);
  });
});

describe('a repository that cannot be written', () => {
  asUser.it('for want of permission is left as it was', () => {
    const repo = join(scratch, 'readonly');
    const tree = makeFiles(join(scratch, 'readonly-tree'), 5);
    ostreeOk(['init', `--repo=${repo}`, '--mode=archive']);
    const before = files(repo);
    const ran = run(
      asOtherUser([process.execPath, link('ostree'), 'commit', `--repo=${repo}`, '--branch=main', tree]),
    );
    expectRefused(ran, /Permission denied/);
    expect(files(repo)).toEqual(before);
  });

  onTmpfs.it('because its file system is read-only or full is valid and clean', async () => {
    const namespace = await mountNamespace();
    try {
      namespace.sh('mount -t tmpfs -o size=3m tmpfs /mnt');
      const big = makeFiles(join(scratch, 'full-tree'), 700);
      const small = makeFiles(join(scratch, 'small-tree'), 10);
      for (const mode of ['archive', 'bare', 'bare-user', 'bare-user-only']) {
        const repo = `/mnt/${mode}`;
        const inside = (args: string[]) =>
          namespace.run([process.execPath, link('ostree'), ...args, `--repo=${repo}`]);
        expect(inside(['init', `--mode=${mode}`])).toMatchObject({ status: 0, stderr: '' });
        expect(inside(['config', 'set', 'core.min-free-space-percent', '0']).status).toBe(0);
        expect(inside(['commit', '--branch=main', small])).toMatchObject({ status: 0, stderr: '' });
        expectRefused(inside(['commit', '--branch=main', big]), /No space left on device/);
        expect(inside(['fsck']).stdout).toContain('no errors found');
        expect(leftovers(namespace.path(repo))).toEqual([]);
        namespace.sh('mount -o remount,ro /mnt');
        expectRefused(inside(['commit', '--branch=main', small]), /Read-only file system/);
        namespace.sh('mount -o remount,rw /mnt');
        expect(inside(['fsck']).stdout).toContain('no errors found');
        namespace.sh(`rm -rf ${repo}`);
      }
    } finally {
      await namespace.close();
    }
  });

  onTmpfs.it('leaves no image behind when mkcomposefs fills the disk', async () => {
    const namespace = await mountNamespace();
    try {
      namespace.sh('mount -t tmpfs -o size=1m tmpfs /mnt');
      const tree = makeFiles(join(scratch, 'image-tree'), 400);
      const ran = namespace.run([
        process.execPath,
        link('mkcomposefs'),
        '--digest-store=/mnt/store',
        tree,
        '/mnt/image',
      ]);
      expectRefused(ran, /No space left on device/);
      const left = readdirSync(namespace.path('/mnt/store'), { recursive: true, encoding: 'utf8' });
      expect(left.filter((name) => name.includes('.tmp'))).toEqual([]);
    } finally {
      await namespace.close();
    }
  });
});

describe('a damaged object', () => {
  for (const mode of ['archive', 'bare', 'bare-user', 'bare-user-only'] as const) {
    const needs = mode === 'bare' ? asRoot : { it };
    needs.it(`of every kind is found in ${mode}, whatever happened to it`, () => {
      const repo = join(scratch, `damaged-${mode}`);
      ostreeOk(['init', `--repo=${repo}`, `--mode=${mode}`]);
      ostreeOk([
        'commit',
        `--repo=${repo}`,
        '--branch=main',
        makeFiles(join(scratch, `damaged-tree-${mode}`), 12),
      ]);
      for (const kind of ['.commit', '.dirtree', '.dirmeta', '.file']) {
        const path = objectOf(repo, kind);
        const intact = readFileSync(path);
        const status = lstatSync(path);
        const damages: Record<string, Buffer> = {
          empty: Buffer.alloc(0),
          'cut in half': intact.subarray(0, intact.length >> 1),
          'one byte short': intact.subarray(0, -1),
          'one byte long': Buffer.concat([intact, Buffer.from('x')]),
          'a bit flipped at its start': flipped(intact, 0),
          'a bit flipped in the middle': flipped(intact, intact.length >> 1),
          'a bit flipped at its end': flipped(intact, intact.length - 1),
        };
        // What follows a deflate stream is no part of the content.
        if (mode === 'archive' && kind === '.file') delete damages['one byte long'];
        for (const [damage, data] of Object.entries(damages)) {
          const what = `${kind} ${damage}`;
          chmodSync(path, 0o644);
          writeFileSync(path, data);
          expectFound(repo, what);
          for (const args of [
            ['ls', '-R', 'main'],
            ['show', 'main'],
            ['checkout', '-U', 'main', join(scratch, `out-${mode}`)],
          ]) {
            const read = ostree([`--repo=${repo}`, ...args]);
            if (read.status !== 0) expectOneLine(read.stderr, `${what} ${args[0]}`);
            rmSync(join(scratch, `out-${mode}`), { recursive: true, force: true });
          }
        }
        writeFileSync(path, intact);
        chmodSync(path, status.mode & 0o7777);
        expect(ostreeOk(['fsck', `--repo=${repo}`])).toContain('no errors found');
        renameSync(path, join(scratch, 'away'));
        expectFound(repo, `${kind} missing`);
        renameSync(join(scratch, 'away'), path);
      }
    });
  }
});

describe('hostile input', () => {
  it('that calls itself an image is refused in one line', () => {
    const tree = makeFiles(join(scratch, 'hostile'), 30);
    const image = join(scratch, 'hostile.cfs');
    sealtreeOk([tree, image], { program: 'mkcomposefs' });
    const intact = readFileSync(image);
    const bad = join(scratch, 'hostile.bad');
    for (const data of [
      Buffer.alloc(0),
      Buffer.alloc(4096),
      Buffer.alloc(1 << 20, 0xff),
      intact.subarray(0, 4096),
      intact.subarray(0, -4096),
      Buffer.concat([intact.subarray(0, 1024), Buffer.alloc(intact.length - 1024, 0xff)]),
    ]) {
      writeFileSync(bad, data);
      expectRefused(sealtree(['dump', bad], { program: 'composefs-info' }), /./);
    }
  });

  it('that calls itself a dump is refused in one line and leaves no image', () => {
    for (const dump of [
      '',
      '\n',
      '/',
      '/ 0 40755 2 0 0 0 0.0 - - -\n/a 1 100644 1 0 0 0 0.0 - - - =\n',
      '\0'.repeat(100),
      `/${'x'.repeat(1e6)}`,
    ]) {
      const image = join(scratch, 'from-dump');
      const ran = sealtree(['--from-file', '-', image], { program: 'mkcomposefs', input: dump });
      expectRefused(ran, /./);
      expect(existsSync(image) ? lstatSync(image).size : 0).toBe(0);
    }
  });

  it('that calls itself a repository is refused in one line', () => {
    for (const config of [
      '',
      '[core]\n',
      '[core]\nrepo_version=2\nmode=bare\n',
      '[core]\nrepo_version=1\nmode=other\n',
      '\xff\0garbage',
    ]) {
      const repo = join(scratch, 'not-a-repo');
      mkdirSync(join(repo, 'objects'), { recursive: true });
      writeFileSync(join(repo, 'config'), config, 'latin1');
      expectRefused(ostree(['refs', `--repo=${repo}`]), /./);
    }
    expectRefused(
      ostree(['refs', `--repo=${join(scratch, 'nothing')}`]),
      /opendir|No such file or directory/,
    );
  });

  it('that calls itself a key is refused in one line', () => {
    const repo = join(scratch, 'key-repo');
    ostreeOk(['init', `--repo=${repo}`, '--mode=archive']);
    const tree = makeFiles(join(scratch, 'key-tree'), 3);
    const head = ostreeOk(['commit', `--repo=${repo}`, '--branch=main', tree]);
    for (const length of [0, 1, 31, 33, 63, 65, 96]) {
      const key = join(scratch, 'key');
      writeFileSync(key, `${Buffer.alloc(length, 7).toString('base64')}\n`);
      const commit = [
        'commit',
        `--repo=${repo}`,
        '--branch=main',
        `--sign-from-file=${key}`,
        '--sign-type=ed25519',
        tree,
      ];
      expectRefused(ostree(commit), /./);
      expectRefused(
        ostree([`--repo=${repo}`, 'sign', '--sign-type=ed25519', `--keys-file=${key}`, 'main']),
        /./,
      );
      expect(ostreeOk([`--repo=${repo}`, 'rev-parse', 'main'])).toBe(head);
    }
    expectClean(repo);
  });
});

/** Refused: a failure of which the user reads one line that says what, and no bug. */
function expectRefused(ran: Ran, words: RegExp): void {
  expect(ran.signal).toBeNull();
  expect(ran.status, ran.stdout).not.toBe(0);
  expectOneLine(ran.stderr, ran.stderr);
  expect(ran.stderr).toMatch(words);
}

function expectOneLine(stderr: string, what: string): void {
  expect(stderr, what).toMatch(/^[^\n]+\n$/);
  expect(stderr, what).not.toMatch(
    /\bat .*:\d+:\d+|undefined|\[object|Error:|is not a function|RangeError|ENOENT|EACCES|offset.*out of/,
  );
}

/** By fsck, which then has an error in one line behind those that tell what is missing, as the real one has. */
function expectFound(repo: string, what: string): void {
  const runs = hasPeers ? [real('ostree', ['fsck', `--repo=${repo}`])] : [];
  forgetPartial(repo);
  runs.push(ostree(['fsck', `--repo=${repo}`]));
  forgetPartial(repo);
  for (const { status, stderr } of runs) {
    expect(status, what).toBe(1);
    expect(stderr, what).toMatch(/^((Object missing|Marking commit as partial)[^\n]*\n)*error: [^\n]+\n$/);
  }
  // Of an empty archive object the real one reads a length that was never there.
  if (what !== '.file empty') expect(runs.at(-1)?.stderr, what).toBe(runs[0]?.stderr);
}

/** Removes the marks that fsck sets on commits of which objects are missing. */
function forgetPartial(repo: string): void {
  for (const name of readdirSync(join(repo, 'state'))) rmSync(join(repo, 'state', name));
}

/** Valid, and without a temporary file. */
function expectClean(repo: string): void {
  const { stdout, stderr } = ostree(['fsck', `--repo=${repo}`]);
  expect(stdout, stderr).toContain('no errors found');
  expect(leftovers(repo)).toEqual([]);
}

function leftovers(repo: string): string[] {
  return readdirSync(join(repo, 'tmp')).filter((name) => name !== 'cache');
}

function files(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' }).sort();
}

/** Some object whose extension begins with `kind`; of files the largest, which deflate cannot hide a change in. */
function objectOf(repo: string, kind: string): string {
  const paths = files(join(repo, 'objects'))
    .filter((name) => name.endsWith(kind) || name.endsWith(`${kind}z`))
    .map((name) => join(repo, 'objects', name));
  return paths.sort((a, b) => lstatSync(b).size - lstatSync(a).size)[0] as string;
}

function flipped(data: Buffer, at: number): Buffer {
  const copy = Buffer.from(data);
  copy[at] = (copy[at] as number) ^ 0x10;
  return copy;
}
