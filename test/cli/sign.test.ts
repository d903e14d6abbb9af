import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hexOf } from '../../src/core/bytes/hex.ts';
import { goldenCommits, goldenRepoPath, goldenTree } from '../golden-repo.ts';
import { expectSuccess, link, run, sealtree } from '../run.ts';

interface KeyPair {
  readonly secret: string;
  readonly public: string;
  readonly hex: string;
}

function key(name: string): KeyPair {
  const { public_hex, secret_hex } = JSON.parse(
    readFileSync(new URL(`../vectors/ostree/keys/${name}.json`, import.meta.url), 'utf8'),
  );
  const base64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64');
  return { secret: base64(secret_hex), public: base64(public_hex), hex: public_hex };
}

const [A, B, WRONG] = ['a', 'b', 'wrong'].map(key) as [KeyPair, KeyPair, KeyPair];
/** Signed with a. */
const SIGNED = goldenTree('basic').variants.composefs?.by_mode.archive as string;
/** Signed with a, then with b. */
const CHILD = goldenTree('basic').variants.child?.by_mode.archive as string;

let scratch: string;
let golden: string;
let repo: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'sealtree-sign-'));
  golden = join(scratch, 'golden');
  mkdirSync(golden);
  const unpack = ['tar', '-xzf', goldenRepoPath('basic', 'archive'), '-C', golden];
  expectSuccess(run(unpack), unpack);
});
beforeEach(() => {
  repo = join(scratch, 'repo');
  rmSync(repo, { recursive: true, force: true });
  cpSync(join(golden, 'archive'), repo, { recursive: true });
});
afterAll(() => rmSync(scratch, { recursive: true }));

function file(name: string, content: string): string {
  const path = join(scratch, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, content);
  return path;
}

const commitmetaPath = (commit: string) =>
  join(repo, 'objects', commit.slice(0, 2), `${commit.slice(2)}.commitmeta`);
const commitmeta = (commit: string) => hexOf(readFileSync(commitmetaPath(commit)));
const sign = (...args: string[]) => sealtree(['sign', `--repo=${repo}`, ...args]);
const verified = ({ hex }: KeyPair) => `ed25519: Signature verified successfully with key '${hex}'\n`;
const refused = (message: string) => ({ status: 1, stdout: '', stderr: `error: ${message}\n` });

describe('sign', () => {
  // Expected: the commitmeta of the golden commits, signed by ostree with libsodium.
  it('makes the bytes that the real tool makes', () => {
    rmSync(commitmetaPath(SIGNED));
    expect(sign(SIGNED, A.secret)).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(commitmeta(SIGNED)).toBe(goldenCommits('basic').get(SIGNED)?.commitmeta_hex);
    rmSync(commitmetaPath(CHILD));
    expect(sign(`--keys-file=${file('ab.secret', `${A.secret}\n${B.secret}\n`)}`, CHILD).status).toBe(0);
    expect(commitmeta(CHILD)).toBe(goldenCommits('basic').get(CHILD)?.commitmeta_hex);
  });

  it('adds to the signatures that are there, with every key', () => {
    expect(sign(SIGNED, B.secret, WRONG.secret).status).toBe(0);
    for (const pair of [A, B, WRONG])
      expect(sign('--verify', SIGNED, pair.public)).toMatchObject({ status: 0, stdout: verified(pair) });
  });

  it('writes nothing if one of the keys is none', () => {
    const before = commitmeta(SIGNED);
    expect(sign(SIGNED, B.secret, 'YWJj')).toMatchObject(
      refused('Invalid ed25519 secret key: Ill-formed input: expected 64 bytes, got 3 bytes'),
    );
    const half = Buffer.from(A.secret, 'base64');
    half[63] = (half[63] as number) ^ 1;
    expect(sign(SIGNED, half.toString('base64')).stderr).toContain('does not belong to its seed');
    expect(sign(SIGNED, `--keys-file=${file('gap', `${B.secret}\n\n`)}`)).toMatchObject(
      refused('Invalid base64 blob format'),
    );
    expect(commitmeta(SIGNED)).toBe(before);
  });

  it('reads secrets from a descriptor', () => {
    const path = file('fd.secret', `${B.secret}\n`);
    for (const option of ['--keys-fd=7', '--sign-fd=7']) {
      const command = `exec "$@" ${option} 7<${path}`;
      const ran = run([
        'sh',
        '-c',
        command,
        'sh',
        process.execPath,
        link(),
        'sign',
        `--repo=${repo}`,
        SIGNED,
      ]);
      expect(ran).toMatchObject({ status: 0, stderr: '' });
    }
    expect(sign('--verify', SIGNED, B.public).stdout).toBe(verified(B));
    expect(sign(SIGNED, '--keys-fd=99').stderr).toBe('error: reading descriptor 99: Bad file descriptor\n');
    expect(sign(SIGNED, '--keys-fd=x').stderr).toContain(
      "--keys-fd: 'x' is not the number of a file descriptor",
    );
    expect(
      sealtree(['sign', `--repo=${repo}`, SIGNED, '--keys-fd=0'], { program: 'ostree' }).stderr,
    ).toContain('Unknown option --keys-fd=0');
  });

  it('words its refusals as the real tool', () => {
    expect(sign().stderr).toMatch(/error: Need a COMMIT to sign or verify\n$/);
    expect(sign(SIGNED).stderr).toMatch(/error: Need at least one KEY-ID to sign with\n$/);
    expect(sign('--sign-type=dummy', SIGNED, 'x')).toMatchObject(
      refused('Requested signature type is not implemented'),
    );
    expect(sign(`--keys-file=${scratch}`, SIGNED)).toMatchObject(
      refused(`File object '${scratch}' is not a regular file`),
    );
  });
});

describe('sign --verify', () => {
  // Messages: ostree 2026.4, ot-builtin-sign.c and ostree-sign-ed25519.c.
  it('tries the keys that are arguments, passing over what is none', () => {
    expect(sign('--verify', SIGNED, 'xx', WRONG.public, A.public)).toMatchObject({
      status: 0,
      stdout: verified(A),
      stderr: '',
    });
    expect(sign('--verify', SIGNED, WRONG.public, 'xx')).toMatchObject(refused('No valid signatures found'));
  });

  it('tries the keys of a file', () => {
    const path = file('trusted', `${WRONG.public}\n# no key\n${A.public}\n`);
    expect(sign('--verify', `--keys-file=${path}`, SIGNED)).toMatchObject({ status: 0, stdout: verified(A) });
    expect(sign('--verify', `--keys-file=${file('wrong', `${WRONG.public}\n`)}`, SIGNED)).toMatchObject(
      refused(`ed25519: Signature couldn't be verified with: key '${WRONG.hex}'`),
    );
    expect(
      sign('--verify', `--keys-file=${file('two', `${WRONG.public}\n${B.public}\n`)}`, SIGNED),
    ).toMatchObject(
      refused(`ed25519: Signature couldn't be verified with: key '${B.hex}'; key '${WRONG.hex}'`),
    );
    expect(sign('--verify', `--keys-file=${file('empty', '')}`, SIGNED)).toMatchObject(
      refused(`signature: ed25519: no valid keys in file '${join(scratch, 'empty')}'`),
    );
    expect(sign('--verify', `--keys-file=${scratch}/none`, SIGNED)).toMatchObject(
      refused(`File object '${scratch}/none' is not a regular file`),
    );
  });

  it('counts the keys instead of naming more than three', () => {
    const others = [1, 2, 3, 4].map((n) => Buffer.alloc(32, n).toString('base64'));
    const path = file('many', `${others.join('\n')}\n`);
    expect(sign('--verify', `--keys-file=${path}`, SIGNED)).toMatchObject(
      refused("ed25519: Signature couldn't be verified; tried 4 keys"),
    );
  });

  it('reads directories of trusted and revoked keys', () => {
    const keys = join(scratch, 'keys');
    const verify = () => sign('--verify', `--keys-dir=${keys}`, CHILD);
    mkdirSync(keys, { recursive: true });
    expect(verify()).toMatchObject(refused('signature: ed25519: no keys loaded'));
    file('keys/trusted.ed25519.d/one', `${B.public}\n`);
    expect(verify()).toMatchObject({ status: 0, stdout: verified(B) });
    file('keys/revoked.ed25519', `${B.public}\n`);
    expect(verify()).toMatchObject(refused('ed25519: no signatures found'));
    file('keys/trusted.ed25519', `${A.public}\n`);
    expect(verify()).toMatchObject({ status: 0, stdout: verified(A) });
    file('keys/revoked.ed25519.d/more', `${A.public}\n`);
    expect(verify()).toMatchObject(refused('ed25519: no signatures found'));
    file('keys/revoked.ed25519.d/more', 'damaged\n');
    expect(verify().stderr).toContain('revoked keys cannot be read');
  });

  it('refuses a commit without signatures, and one that has been changed', () => {
    rmSync(commitmetaPath(SIGNED));
    const path = file('a.public', `${A.public}\n`);
    expect(sign('--verify', `--keys-file=${path}`, SIGNED)).toMatchObject(
      refused('ed25519: commit have no signatures of my type'),
    );
    const object = commitmetaPath(CHILD).replace(/meta$/, '');
    const data = readFileSync(object);
    data[data.length - 1] = (data[data.length - 1] as number) ^ 1;
    writeFileSync(object, data);
    expect(sign('--verify', `--keys-file=${path}`, CHILD).stderr).toContain('Corrupted commit object');
  });
});
