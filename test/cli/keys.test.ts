import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { requires } from '../requires.ts';
import { link, run, sealtree, sealtreeOk, startSealtree } from '../run.ts';

let scratch: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'sealtree-keys-'));
});
afterEach(() => rmSync(scratch, { recursive: true }));

const keys = (...args: string[]) => sealtree(['keys', ...args], { cwd: scratch });
const read = (name: string) => readFileSync(join(scratch, name), 'latin1');
const mode = (name: string) => statSync(join(scratch, name)).mode & 0o777;

describe('keys generate', () => {
  it('makes a pair in the formats of ostree, the secret for its owner only', () => {
    const ran = run(
      ['sh', '-c', 'umask 0; exec "$@"', 'sh', process.execPath, link(), 'keys', 'generate', 'os'],
      {
        cwd: scratch,
      },
    );
    expect(ran).toMatchObject({ status: 0, stderr: '' });
    expect([mode('os.secret'), mode('os.public')]).toEqual([0o600, 0o644]);
    const secret = Buffer.from(read('os.secret'), 'base64');
    const publicKey = Buffer.from(read('os.public'), 'base64');
    expect([secret.length, publicKey.length]).toEqual([64, 32]);
    expect(secret.subarray(32).equals(publicKey)).toBe(true);
    expect(read('os.secret')).toMatch(/^[A-Za-z0-9+/]{86}==\n$/);
    expect(ran.stdout).toBe(`${publicKey.toString('hex')}  os.public\n`);
    expect(keys('verify', 'os.secret', 'os.public').status).toBe(0);
  });

  it('makes another pair each time', () => {
    keys('generate', 'one');
    keys('generate', 'two');
    expect(read('one.public')).not.toBe(read('two.public'));
  });

  it('never overwrites a key, and leaves nothing of a failure', () => {
    writeFileSync(join(scratch, 'a.secret'), 'mine');
    expect(keys('generate', 'a')).toMatchObject({
      status: 7,
      stderr: 'sealtree: writing a.secret: File exists\n',
    });
    expect(readdirSync(scratch)).toEqual(['a.secret']);
    writeFileSync(join(scratch, 'b.public'), 'mine');
    expect(keys('generate', 'b').status).toBe(7);
    expect(keys('generate', '--secret=c', '--public=no/such/file').status).toBe(7);
    expect(readdirSync(scratch)).toEqual(['a.secret', 'b.public']);
    expect(read('a.secret') + read('b.public')).toBe('minemine');
    expect(keys('generate').status).toBe(2);
  });

  it('tells what it made as JSON', () => {
    const made = JSON.parse(keys('generate', '--json', 'os').stdout);
    expect(made).toEqual({
      publicKey: Buffer.from(read('os.public'), 'base64').toString('hex'),
      secretFile: 'os.secret',
      publicFile: 'os.public',
    });
  });
});

describe('keys show', () => {
  it('prints public keys, and of a secret key its public half', () => {
    const hex = keys('generate', 'os').stdout.slice(0, 64);
    const base64 = read('os.public').trim();
    expect(keys('show', 'os.public', 'os.secret').stdout).toBe(
      `${hex}  ${base64}  public  os.public\n${hex}  ${base64}  secret  os.secret\n`,
    );
    expect(JSON.parse(keys('show', '--json', 'os.secret').stdout)).toEqual([
      { file: 'os.secret', line: 1, kind: 'secret', hex, base64 },
    ]);
  });

  it('says where a file holds no key', () => {
    const key = Buffer.alloc(32, 1).toString('base64');
    writeFileSync(join(scratch, 'keys'), `${key}\nYWJj\n`);
    expect(keys('show', 'keys')).toMatchObject({
      status: 4,
      stderr: 'sealtree: keys: line 2: base64 of 3 bytes, expected 32 for a public or 64 for a secret key\n',
    });
    expect(keys('show', 'none').status).toBe(7);
    writeFileSync(join(scratch, 'empty'), '');
    expect(keys('show', 'empty').stderr).toBe('sealtree: empty: no key in it\n');
  });
});

describe('keys verify', () => {
  it('finds keys that do not belong together, that nobody can use, or that others can read', () => {
    keys('generate', 'one');
    keys('generate', 'two');
    expect(keys('verify', 'one.secret', 'two.public')).toMatchObject({ status: 3 });
    expect(keys('verify', 'one.secret', 'two.public').stdout).toContain(
      'its public key is in none of the files',
    );
    run(['chmod', '640', 'one.secret'], { cwd: scratch });
    expect(keys('verify', 'one.secret').stdout).toContain(
      'others may read the file: mode is 0640, expected 0600',
    );
    writeFileSync(join(scratch, 'zero'), Buffer.alloc(32).toString('base64'));
    const [finding] = JSON.parse(keys('verify', '--json', 'zero').stdout);
    expect(finding.faults).toEqual(['no signature verifies with such a key']);
  });

  it('refuses a secret key whose public half is not its own', () => {
    keys('generate', 'one');
    const key = Buffer.from(read('one.secret'), 'base64');
    key[0] = (key[0] as number) ^ 1;
    writeFileSync(join(scratch, 'bad'), key.toString('base64'));
    expect(keys('verify', 'bad')).toMatchObject({ status: 4 });
  });
});

describe('keys transient', () => {
  const transient = (script: string, ...more: string[]) =>
    keys('transient', '--public=key', ...more, '--', 'sh', '-c', script);

  it('gives the command a key that can be read more than once', () => {
    const ran = transient('cat /dev/fd/$SEALTREE_SIGN_FD; cat <&$SEALTREE_SIGN_FD');
    expect(ran).toMatchObject({ status: 0, stderr: '' });
    const [first, second] = ran.stdout.split('\n').map((line) => Buffer.from(line, 'base64'));
    expect(first?.length).toBe(64);
    expect(second).toEqual(first);
    expect(first?.subarray(32).toString('base64')).toBe(read('key').trim());
    expect(readdirSync(scratch)).toEqual(['key']);
  });

  it('signs a commit that then verifies', () => {
    sealtreeOk(['init', '--repo=repo', '--mode=archive'], { cwd: scratch });
    run(['mkdir', 'tree'], { cwd: scratch });
    writeFileSync(join(scratch, 'tree/file'), 'content');
    const program = `${process.execPath} ${link()}`;
    const commit = `${program} commit --repo=repo --branch=os --generate-composefs-metadata`;
    const ran = transient(
      `${commit} --sign-fd=$SEALTREE_SIGN_FD tree && ${program} sign --repo=repo --keys-fd=$SEALTREE_SIGN_FD os`,
    );
    expect(ran).toMatchObject({ status: 0, stderr: '' });
    expect(sealtree(['verify', '--repo=repo', '--keys-file=key', 'os'], { cwd: scratch }).status).toBe(0);
  });

  it('keeps the secret out of every argument, environment and file', () => {
    sealtreeOk(['init', '--repo=repo', '--mode=archive'], { cwd: scratch });
    run(['mkdir', 'tree'], { cwd: scratch });
    const program = `${process.execPath} ${link()}`;
    const ran = transient(`
      cat /dev/fd/$SEALTREE_SIGN_FD
      ${program} commit --repo=repo --branch=os --sign-fd=$SEALTREE_SIGN_FD tree >log 2>&1 || exit 1
      for file in /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do
        tr '\\0' '\\n' <$file 2>/dev/null
      done
      exit 0
    `);
    expect(ran.status).toBe(0);
    const line = ran.stdout.slice(0, ran.stdout.indexOf('\n'));
    const said = ran.stdout.slice(line.length);
    expect(said).toContain('SEALTREE_SIGN_FD=3\n');
    expect(said).toContain('transient');
    const seed = Buffer.from(line, 'base64').subarray(0, 32);
    const forms = [
      line,
      line.slice(0, 40),
      seed.toString('hex'),
      seed.toString('base64'),
      seed.toString('latin1'),
    ];
    const files = readdirSync(scratch, { recursive: true, encoding: 'utf8' })
      .map((name) => join(scratch, name))
      .filter((path) => statSync(path).isFile());
    expect(files.length).toBeGreaterThan(5);
    for (const form of forms) {
      expect(said).not.toContain(form);
      expect(ran.stderr).not.toContain(form);
      for (const path of files) expect(readFileSync(path, 'latin1'), path).not.toContain(form);
    }
  });

  it('passes on exit status and signals of the command', () => {
    expect(transient('exit 7').status).toBe(7);
    expect(transient('kill -KILL $$').signal).toBe('SIGKILL');
    expect(transient('kill -TERM $$').signal).toBe('SIGTERM');
    expect(keys('transient', '--public=key', '--', '/no/such/command')).toMatchObject({
      status: 127,
      stderr: 'sealtree: /no/such/command: No such file or directory\n',
    });
    expect(keys('transient', '--public=key', '--', '/')).toMatchObject({ status: 126 });
  });

  it('passes signals on to the command', async () => {
    const child = startSealtree(
      [
        'keys',
        'transient',
        '--public=key',
        '--',
        'sh',
        '-c',
        'trap "exit 9" TERM; echo ready; while :; do sleep 0.1; done',
      ],
      { cwd: scratch, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)));
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    child.kill('SIGTERM');
    expect(await ended).toBe(9);
  });

  it('overwrites the secret when the command has ended', async () => {
    // The command leaves somebody behind who has the descriptor and reads it later.
    const ran = transient('(sleep 0.5; cat /dev/fd/$SEALTREE_SIGN_FD | wc -c >late) >/dev/null 2>&1 &');
    expect(ran.status).toBe(0);
    await expect
      .poll(() => readdirSync(scratch).includes('late') && read('late').trim(), { timeout: 5000 })
      .toBe('0');
  });

  it('needs a file, a command, and words that can be handed on', () => {
    expect(keys('transient', '--', 'true').status).toBe(2);
    expect(keys('transient', '--public=key').status).toBe(2);
    expect(keys('transient', '--public=no/such', '--', 'touch', 'ran').status).toBe(7);
    expect(readdirSync(scratch)).toEqual([]);
  });

  requires({ root: true, programs: ['setpriv'] }).it(
    'cannot be dumped or traced while it holds the secret',
    () => {
      run(['chmod', '777', scratch]);
      // The files in /proc of a process that is not dumpable belong to root.
      const script = 'stat -c %u /proc/$PPID/environ /proc/$$/environ';
      const command = [
        process.execPath,
        link(),
        'keys',
        'transient',
        '--public=key',
        '--',
        'sh',
        '-c',
        script,
      ];
      const ran = run(['setpriv', '--reuid=4321', '--clear-groups', ...command], { cwd: scratch });
      expect(ran).toMatchObject({ status: 0, stdout: '0\n4321\n' });
    },
  );
});
