import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { byteString, byteStringFrom } from '../../src/core/bytes/byte-string.ts';
import { encodeBareUserMeta } from '../../src/core/ostree/file-header.ts';
import { setXattr } from '../../src/node/syscalls.ts';
import { goldenKey } from '../deployed-disk.ts';
import { goldenCommits, goldenTree } from '../golden-repo.ts';
import { requires } from '../requires.ts';
import { expectSuccess, link, run, sealtreeOk } from '../run.ts';
import { damage, objectsOf, report, statuses, unpackGolden, verify } from '../verifying.ts';

let scratch: string;
/** A repository of ours with one signed commit, `os`, to be copied and damaged. */
let ours: string;
let keys: string;
let repo: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'sealtree-verify-'));
  const tree = join(scratch, 'tree');
  mkdirSync(join(tree, 'usr/bin'), { recursive: true });
  mkdirSync(join(tree, 'usr/share/empty'), { recursive: true });
  writeFileSync(join(tree, 'usr/bin/one'), 'the same content');
  writeFileSync(join(tree, 'usr/bin/two'), 'the same content');
  writeFileSync(join(tree, 'usr/share/large'), Buffer.alloc(300_000, 7));
  writeFileSync(join(tree, 'usr/share/nothing'), '');
  keys = join(scratch, 'key.public');
  ours = join(scratch, 'ours');
  sealtreeOk(['keys', 'generate', join(scratch, 'key')]);
  sealtreeOk(['init', `--repo=${ours}`, '--mode=bare-user']);
  sealtreeOk([
    'commit',
    `--repo=${ours}`,
    '--branch=os',
    '--owner-uid=0',
    '--owner-gid=0',
    '--generate-composefs-metadata',
    `--sign-from-file=${join(scratch, 'key.secret')}`,
    tree,
  ]);
});
beforeEach(() => {
  repo = join(scratch, 'repo');
  rmSync(repo, { recursive: true, force: true });
  const copy = ['cp', '-a', ours, repo];
  expectSuccess(run(copy), copy);
});
afterAll(() => rmSync(scratch, { recursive: true }));

const verifyOurs = (...args: string[]) => verify(`--repo=${repo}`, `--keys-file=${keys}`, ...args, 'os');

describe('verify of a commit', () => {
  it('says what was checked, in order, and what a mount would do', () => {
    const ran = verifyOurs();
    expect(ran).toMatchObject({ status: 0, stderr: '' });
    const key = readFileSync(keys, 'latin1').trim();
    const hex = Buffer.from(key, 'base64').toString('hex');
    const commit = readFileSync(join(repo, 'refs/heads/os'), 'latin1').trim();
    const digest = /composefs digest: commit names image ([0-9a-f]{64})\n/.exec(ran.stdout)?.[1];
    expect(ran.stdout.split('\n')).toEqual([
      `commit os: commit ${commit} in ${repo}`,
      `yes   signature: commit is signed with key ${hex} (${keys})`,
      `yes   commit name: commit is ${commit}`,
      `yes   composefs digest: commit names image ${digest}`,
      expect.stringMatching(
        /^yes {3}objects: all \d+ are what their names say \(files 3, dirtrees 5, dirmetas 1\)$/,
      ),
      `yes   image rebuilt: the tree gives image ${digest}`,
      'valid',
      'mount plan:',
      `  1. mount image ${commit}.cfs (fs-verity digest ${digest}) as EROFS at LOWER`,
      `  2. mount overlay at MOUNTPOINT: source=composefs,metacopy=on,redirect_dir=on,verity=require,lowerdir+=LOWER,datadir+=${repo}/objects,ro`,
      '  3. detach LOWER',
      '',
    ]);
  });

  it('has a JSON form', () => {
    const found = report(verifyOurs('--json'));
    expect(Object.keys(found)).toEqual([
      ...['format', 'verdict', 'valid', 'target', 'protectedBy', 'checks', 'damage', 'differences'],
      ...['notMountable', 'boot', 'plan'],
    ]);
    expect(found).toMatchObject({ format: 'sealtree-verify-1', verdict: 'valid', valid: true, damage: [] });
    expect(found.checks.map(({ check }) => check)).toEqual([
      ...['signature', 'commit name', 'composefs digest', 'objects', 'image rebuilt'],
    ]);
    expect(found.plan?.map(({ step }) => step)).toEqual(['mount image', 'mount overlay', 'unmount']);
  });

  // Expected digests: the golden commits, made by ostree.
  it.each(['empty', 'basic', 'perms', 'xattrs', 'unicode', 'links', 'os'])(
    'accepts the archive of the real tool, which cannot be mounted: %s',
    (tree) => {
      const golden = unpackGolden(tree, scratch);
      const commit = goldenTree(tree).variants.composefs?.by_mode.archive as string;
      const digest = goldenCommits(tree).get(commit)?.composefs_digest_v0;
      const found = report(verify(`--repo=${golden}`, `--key=${goldenKey('a')}`, '--json', commit));
      expect(found.verdict).toBe('valid, not mountable');
      expect(found.checks.at(-1)?.message).toBe(`the tree gives image ${digest}`);
      expect(found.notMountable).toContain('archive repository');
      expect(verify(`--repo=${golden}`, `--key=${goldenKey('wrong')}`, commit).status).toBe(3);
    },
  );

  it('finds damaged content, and every path that uses it', () => {
    const content = objectsOf(repo, '.file').find(
      (path) => readFileSync(path, 'latin1') === 'the same content',
    );
    damage(content as string, 3);
    const ran = verifyOurs('--json');
    expect(ran.status).toBe(3);
    const found = report(ran);
    expect(found.verdict).toBe('refused');
    expect(found.damage).toMatchObject([
      { object: (content as string).slice(repo.length + 1), paths: ['/usr/bin/one', '/usr/bin/two'] },
    ]);
    expect(found.damage[0]?.fault).toMatch(/^its checksum is [0-9a-f]{64}$/);
    expect(found.plan).toBeNull();
    const words = verifyOurs().stdout;
    expect(words).toContain(
      'used by:\n    /usr/bin/one\n    /usr/bin/two\nrefused: objects, 1 damaged object\n',
    );
    expect(words).toContain(`protected by ${found.protectedBy}`);
  });

  it.each(['.file', '.dirtree', '.dirmeta', '.commit'])('finds one flipped bit in any %s', (extension) => {
    const paths = objectsOf(repo, extension).filter((path) => readFileSync(path).length > 0);
    expect(paths.length).toBeGreaterThan(0);
    for (const path of paths) {
      const good = readFileSync(path);
      damage(path, Math.floor(good.length / 2));
      const ran = verifyOurs('--json');
      expect(ran.status, path).toBe(3);
      expect(report(ran).damage.map(({ object }) => object)).toEqual([path.slice(repo.length + 1)]);
      expect(report(ran).damage[0]?.paths.length).toBeGreaterThan(0);
      writeFileSync(path, good);
    }
    expect(verifyOurs().status).toBe(0);
  });

  it.each(['.file', '.dirtree', '.dirmeta'])('misses any %s that is not there', (extension) => {
    const [path] = objectsOf(repo, extension) as [string];
    rmSync(path);
    const found = report(verifyOurs('--json'));
    expect(found.damage[0]?.object).toBe(path.slice(repo.length + 1));
    expect(found.damage[0]?.paths.length).toBeGreaterThan(0);
  });

  it('goes no further than a commit that nothing vouches for', () => {
    damage(objectsOf(repo, '.commit')[0] as string);
    const found = report(verifyOurs('--json'));
    expect(statuses(found)).toMatchObject({
      signature: 'failed',
      'commit name': 'failed',
      objects: 'skipped',
    });
  });

  it('finds damaged metadata of the owner and mode kept beside the content', () => {
    const [path] = objectsOf(repo, '.file') as [string];
    const meta = encodeBareUserMeta({ uid: 1000, gid: 0, mode: 0o100644, xattrs: [] });
    setXattr(byteString(path), byteString('user.ostreemeta'), byteStringFrom(meta));
    const found = report(verifyOurs('--json'));
    expect(found.damage.map(({ object }) => object)).toEqual([path.slice(repo.length + 1)]);
  });

  requires({ root: true, programs: ['setpriv'] }).it('does not decide about what it may not read', () => {
    const [path] = objectsOf(repo, '.file') as [string];
    for (const folder of [scratch, repo]) chmodSync(folder, 0o755);
    chmodSync(path, 0);
    const command = [process.execPath, link(), 'verify', `--repo=${repo}`, `--keys-file=${keys}`, 'os'];
    const ran = run(['setpriv', '--reuid=4321', '--regid=4321', '--clear-groups', ...command]);
    expect(ran).toMatchObject({
      status: 7,
      stdout: '',
      stderr: expect.stringContaining('Permission denied'),
    });
  });

  it('makes only the checks of a boot with --boot', () => {
    for (const path of objectsOf(repo, '.file')) rmSync(path);
    const ran = verifyOurs('--boot', '--json');
    expect(ran.status).toBe(0);
    expect(Object.keys(statuses(report(ran)))).toEqual(['signature', 'commit name', 'composefs digest']);
  });

  it('says no without the right key, and does not decide without any', () => {
    const other = sealtreeOk(['keys', 'generate', '--json', join(scratch, 'other')]);
    expect(JSON.parse(other).publicFile).toBe(join(scratch, 'other.public'));
    expect(verify(`--repo=${repo}`, `--keys-file=${scratch}/other.public`, 'os').status).toBe(3);
    expect(verify(`--repo=${repo}`, '--key=YWJj', 'os')).toMatchObject({ status: 4 });
    if (!existsSync('/etc/ostree/trusted.ed25519'))
      expect(verify(`--repo=${repo}`, 'os')).toMatchObject({
        status: 5,
        stderr: 'sealtree: signature: ed25519: no keys loaded\n',
      });
    expect(verify(`--repo=${repo}`, `--keys-file=${keys}`, 'none').status).not.toBe(0);
    rmSync(join(scratch, 'other.secret'));
    rmSync(join(scratch, 'other.public'));
  });

  it('takes no more than sixteen keys', () => {
    const many = Array.from({ length: 17 }, (_, i) => `--key=${Buffer.alloc(32, i).toString('base64')}`);
    expect(verify(`--repo=${repo}`, ...many, 'os').stderr).toBe(
      'sealtree: 17 keys, at most 16 are allowed\n',
    );
  });

  it('follows a configuration', () => {
    const config = (text: string) => {
      writeFileSync(join(scratch, 'prepare-root.conf'), text);
      return `--config=${scratch}/prepare-root.conf`;
    };
    const checks = (...args: string[]) => statuses(report(verify(`--repo=${repo}`, '--json', ...args, 'os')));
    expect(checks(config('[composefs]\nenabled=yes\n')).signature).toBe('skipped');
    expect(checks(config('[composefs]\nenabled=yes\n'), `--keys-file=${keys}`).signature).toBe('passed');
    const signed = config(`[composefs]\nenabled=signed\nkeypath=${keys}\n`);
    expect(checks(signed).signature).toBe('passed');
    expect(verify(`--repo=${repo}`, signed, '--cmdline=ostree.prepare-root.composefs=0', 'os')).toMatchObject(
      {
        status: 3,
        stderr: expect.stringContaining('would turn off the signature check'),
      },
    );
    expect(
      verify(`--repo=${repo}`, config('[composefs]\nenabled=signed\nkeypath=/none\n'), 'os'),
    ).toMatchObject({
      status: 5,
      stderr: expect.stringContaining("Reading public key file '/none': "),
    });
    expect(verify(`--repo=${repo}`, config('[composefs]\nenable=signed\n'), 'os').stderr).toContain(
      'composefs.enable means nothing',
    );
    expect(verify(`--repo=${repo}`, config('[composefs]\nenabled=YES\n'), 'os').status).toBe(4);
  });
});

describe('verify --quiet', () => {
  it('prints nothing for yes, and what is wrong for no', () => {
    expect(verifyOurs('--quiet')).toMatchObject({ stdout: '', stderr: '', status: 0 });
    expect(verifyOurs('--quiet', '--json')).toMatchObject({ stdout: '', stderr: '', status: 0 });
    sealtreeOk(['keys', 'generate', join(scratch, 'stranger')]);
    const refused = verify(`--repo=${repo}`, `--keys-file=${scratch}/stranger.public`, '-q', 'os');
    expect(refused.stdout).toMatch(/^refused: signature/m);
    expect(refused.status).toBe(3);
  });
});
