import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { byteString, byteStringFrom } from '../../src/core/bytes/byte-string.ts';
import { encodeBareUserMeta } from '../../src/core/ostree/file-header.ts';
import { setXattr } from '../../src/node/syscalls.ts';
import { goldenCommits, goldenRepoPath, goldenTree } from '../golden-repo.ts';
import { requires } from '../requires.ts';
import { expectSuccess, link, run, sealtree, sealtreeOk } from '../run.ts';

const vectors = fileURLToPath(new URL('../vectors/ostree/', import.meta.url));

interface Report {
  readonly format: string;
  readonly verdict: string;
  readonly valid: boolean;
  readonly protectedBy: string | null;
  readonly checks: readonly { check: string; status: string; message: string }[];
  readonly damage: readonly { object: string; fault: string; paths: readonly string[] }[];
  readonly differences: readonly string[];
  readonly notMountable: string | null;
  readonly boot: {
    readonly refusal: { readonly message: string } | null;
    readonly commit: string | null;
    readonly mode: string | null;
    readonly sealed: boolean;
  } | null;
  readonly plan: readonly { step: string }[] | null;
}

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

const verify = (...args: string[]) => sealtree(['verify', ...args]);
const verifyOurs = (...args: string[]) => verify(`--repo=${repo}`, `--keys-file=${keys}`, ...args, 'os');

function report(ran: { readonly stdout: string; readonly stderr: string }): Report {
  expect(ran.stderr).toBe('');
  return JSON.parse(Buffer.from(ran.stdout, 'latin1').toString());
}

function statuses({ checks }: Report): Record<string, string> {
  return Object.fromEntries(checks.map(({ check, status }) => [check, status]));
}

function objectsOf(path: string, extension: string): string[] {
  return (readdirSync(join(path, 'objects'), { recursive: true, encoding: 'utf8' }) as string[])
    .filter((name) => name.endsWith(extension))
    .map((name) => join(path, 'objects', name))
    .sort();
}

function damage(path: string, at = -1): void {
  chmodSync(path, 0o600);
  const data = readFileSync(path);
  const place = at < 0 ? data.length + at : at;
  data[place] = (data[place] as number) ^ 1;
  writeFileSync(path, data);
}

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
      const golden = unpackGolden(tree);
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

describe('verify of a deployment', () => {
  let sysroot: string;
  let deployment: string;
  let image: string;
  const commit = goldenTree('basic').variants.composefs?.by_mode.archive as string;
  const digest = goldenCommits('basic').get(commit)?.composefs_digest_v0 as string;
  const at = (...args: string[]) => verify(`--key=${goldenKey('a')}`, ...args, deployment);

  beforeEach(() => {
    sysroot = join(scratch, 'sysroot');
    rmSync(sysroot, { recursive: true, force: true });
    deployment = join(sysroot, 'ostree/deploy/golden/deploy', `${commit}.0`);
    mkdirSync(deployment, { recursive: true });
    cpSync(unpackGolden('basic'), join(sysroot, 'ostree/repo'), { recursive: true });
    image = join(deployment, '.ostree.cfs');
    writeFileSync(image, gunzipSync(readFileSync(`${vectors}basic/composefs.cfs.gz`)));
  });

  it('compares its image with the commit, and plans the boot', () => {
    const found = report(at('--json'));
    expect(found.verdict).toBe('valid');
    expect(statuses(found)).toMatchObject({ 'image digest': 'passed', 'image rebuilt': 'passed' });
    const steps = found.plan?.map(({ step }) => step) ?? [];
    expect(steps.slice(0, 3)).toEqual(['create directory', 'create directory', 'set propagation']);
    expect(steps).toContain('write dictionary');
    expect(JSON.stringify(found.plan)).toContain(
      `/sysroot/ostree/deploy/golden/deploy/${commit}.0/.ostree.cfs`,
    );
    expect(JSON.stringify(found.plan)).toContain(digest);
  });

  it('says in which path and field another image differs', () => {
    const dump = readFileSync(`${vectors}basic/composefs.cfs.dump`, 'latin1');
    const changed = dump.replace(/^(\/hello \d+) 100(\d+)/m, '$1 104$2').replace(/^\/empty .*\n/m, '');
    expect(changed).not.toBe(dump);
    writeFileSync(join(scratch, 'changed.dump'), changed, 'latin1');
    sealtreeOk(['mkcomposefs', '--from-file', '--max-version=0', join(scratch, 'changed.dump'), image]);
    const ran = at('--json');
    expect(ran.status).toBe(3);
    const found = report(ran);
    expect(statuses(found)).toMatchObject({ 'image digest': 'failed', objects: 'passed' });
    expect(found.differences.join('\n')).toMatch(/^\/hello: mode is 4\d{3}, expected \d{3}$/m);
    expect(found.differences.join('\n')).toMatch(/^\/empty: is missing, expected a /m);
    expect(at('--boot').status).toBe(3);
  });

  it('needs the image unless the configuration does not', () => {
    rmSync(image);
    expect(statuses(report(at('--json'))).image).toBe('failed');
    const config = join(scratch, 'maybe.conf');
    writeFileSync(config, '[composefs]\nenabled=maybe\n');
    const found = report(verify(`--config=${config}`, '--json', deployment));
    expect(found.verdict).toBe('valid');
    expect(found.plan?.some(({ step }) => step === 'mount image')).toBe(false);
  });

  it('takes an image without digests of files where any image will do', () => {
    const undigested = readFileSync(`${vectors}basic/composefs.cfs.dump`, 'latin1').replace(
      / [0-9a-f]{64}( [^\n]*)?$/gm,
      ' -$1',
    );
    writeFileSync(join(scratch, 'undigested.dump'), undigested, 'latin1');
    sealtreeOk(['mkcomposefs', '--from-file', '--max-version=0', join(scratch, 'undigested.dump'), image]);
    const config = join(scratch, 'yes.conf');
    writeFileSync(config, '[composefs]\nenabled=yes\n');
    expect(verify(`--config=${config}`, deployment).status).toBe(0);
    writeFileSync(config, '[composefs]\nenabled=verity\n');
    expect(verify(`--config=${config}`, deployment).status).toBe(3);
    expect(at().status).toBe(3);
  });

  it('is found by the kernel command line, and judged by what an initramfs holds', () => {
    const initramfs = join(scratch, 'initramfs');
    mkdirSync(join(initramfs, 'etc/ostree'), { recursive: true });
    writeFileSync(join(initramfs, 'etc/ostree/prepare-root.conf'), '[composefs]\nenabled=signed\n');
    writeFileSync(join(initramfs, 'etc/ostree/initramfs-root-binding.key'), `${goldenKey('a')}\n`);
    const boot = join(sysroot, 'ostree/boot.1.1/golden/sum');
    mkdirSync(boot, { recursive: true });
    symlinkSync('boot.1.1', join(sysroot, 'ostree/boot.1'));
    symlinkSync(`../../../deploy/golden/deploy/${commit}.0`, join(boot, '0'));
    symlinkSync('../../../../elsewhere', join(boot, '1'));
    mkdirSync(join(sysroot, 'elsewhere'));
    const under = (cmdline: string) =>
      verify(`--config=${initramfs}`, `--cmdline=${cmdline}`, '--json', sysroot);
    const target = '/ostree/boot.1/golden/sum';
    const found = report(under(`rw ostree=${target}/0 ostree=/other`));
    expect(found.verdict).toBe('valid');
    expect(JSON.stringify(found.plan)).toContain('/etc/ostree/initramfs-root-binding.key');
    // Messages: ostree-prepare-root 2026.4, but for the last two, which it does not have.
    const refusal = (cmdline: string) => {
      const ran = under(cmdline);
      expect(ran.status).toBe(3);
      return report(ran).boot?.refusal?.message;
    };
    const link = `${sysroot}/${target}`;
    expect(refusal('rw')).toBe('No ostree target found');
    expect(refusal(`ostree=${target}/2`)).toBe(
      `Couldn't find specified OSTree root '${link}/2': No such file or directory`,
    );
    expect(refusal(`ostree=${target}`)).toBe(`OSTree target is not a symbolic link: ${link}`);
    expect(refusal(`ostree=${target}/1`)).toContain('leads out of ostree/deploy');
    expect(refusal(`ostree=${target}/0 ostree.prepare-root.composefs=0`)).toContain(
      'would turn off the signature check',
    );
    expect(report(under(`ostree=/ostree/deploy/golden/deploy/${commit}.0`)).verdict).toBe('valid');
    writeFileSync(join(initramfs, 'etc/ostree/initramfs-root-binding.key'), `${goldenKey('wrong')}\n`);
    expect(under(`ostree=${target}/0`).status).toBe(3);
  });

  it('is refused where the initramfs is sealed against it', () => {
    const initramfs = join(scratch, 'sealed');
    mkdirSync(join(initramfs, 'usr/lib/ostree'), { recursive: true });
    mkdirSync(join(initramfs, 'usr/lib/sealtree'), { recursive: true });
    const conf = join(initramfs, 'usr/lib/ostree/prepare-root.conf');
    const sealed = join(initramfs, 'usr/lib/sealtree/sealed.conf');
    writeFileSync(conf, '[composefs]\nenabled=signed\n[etc]\ntransient=true\n');
    writeFileSync(sealed, `[keys]\ntrusted=${goldenKey('a')}\n`);
    const under = (...args: string[]) => verify(`--config=${initramfs}`, '--boot', ...args, sysroot);
    const good = report(under('--json', '--cmdline=rw'));
    expect(good).toMatchObject({ verdict: 'valid', boot: { sealed: true, commit, mode: 'signed' } });
    expect(under().stdout).toMatch(
      /^booting golden commit [0-9a-f]{64} .*; mode signed, sealed; signed with key /m,
    );
    writeFileSync(conf, '[composefs]\nenabled=signed\n');
    const ran = under();
    expect(ran.status).toBe(3);
    expect(ran.stdout).toContain('NO    etc: /etc is persistent');
    expect(ran.stdout).toMatch(/^boot refused: .*\n {2}booting: .*\n {2}check: {4}etc\n/m);
    writeFileSync(sealed, `[keys]\ntrusted=${goldenKey('a')}\n[etc]\nunsigned=allow\n`);
    expect(under().status).toBe(0);
    expect(under().stdout).toContain('warn  etc: ');
  });

  it('refuses what is no image, and what is no deployment', () => {
    writeFileSync(image, 'no image');
    expect(at().status).toBe(3);
    const directory = `${sysroot}/ostree/deploy`;
    const ran = verify(`--key=${goldenKey('a')}`, `--repo=${sysroot}/ostree/repo`, directory);
    expect(ran).toMatchObject({ status: 4, stderr: expect.stringContaining('not a deployment') });
  });
});

describe('verify of an image', () => {
  let objects: string;
  let image: string;
  let digest: string;

  beforeEach(() => {
    objects = join(scratch, 'store');
    image = join(scratch, 'image.cfs');
    rmSync(objects, { recursive: true, force: true });
    digest = sealtreeOk([
      'mkcomposefs',
      '--print-digest',
      `--digest-store=${objects}`,
      join(scratch, 'tree'),
      image,
    ]).trim();
  });

  it('checks its digest, and the files behind it', () => {
    const found = report(verify(`--digest=${digest}`, `--basedir=${objects}`, '--json', image));
    expect(found.verdict).toBe('valid');
    expect(found.checks.at(-1)?.message).toBe('all 1 have the digests that the image names');
    expect(found.plan?.map(({ step }) => step)).toEqual(['mount image', 'mount overlay', 'unmount']);
    expect(report(verify(`--digest=${digest.toUpperCase()}`, '--json', image)).verdict).toBe(
      'valid, not mountable',
    );
  });

  it('finds another image, and damaged, missing and misplaced files', () => {
    expect(verify(`--digest=${'0'.repeat(64)}`, image).status).toBe(3);
    const [file] = (readdirSync(objects, { recursive: true, encoding: 'utf8' }) as string[]).filter((name) =>
      name.includes('/'),
    ) as [string];
    damage(join(objects, file), 5);
    const found = report(verify(`--digest=${digest}`, `--basedir=${objects}`, '--json', image));
    expect(found.damage).toMatchObject([{ object: join(objects, file), paths: ['/usr/share/large'] }]);
    writeFileSync(join(objects, file), 'short');
    expect(verify(`--digest=${digest}`, `--basedir=${objects}`, image).stdout).toContain('size is 5');
    rmSync(join(objects, file));
    expect(verify(`--digest=${digest}`, `--basedir=${objects}`, image).stdout).toContain(
      'No such file or directory',
    );
    expect(verify(`--digest=${digest}`, `--basedir=${objects}`, '--boot', image).status).toBe(0);
  });

  it('refuses files that the image does not protect', () => {
    const dump =
      '/ 4096 40755 2 0 0 0 0.0 - - -\n/a 5 100644 1 0 0 0 0.0 a - -\n/b 5 100644 1 0 0 0 0.0 ../x - -\n';
    writeFileSync(join(scratch, 'plain.dump'), dump);
    const plain = sealtreeOk([
      'mkcomposefs',
      '--from-file',
      '--print-digest',
      join(scratch, 'plain.dump'),
      image,
    ]);
    const ran = verify(`--digest=${plain.trim()}`, `--basedir=${objects}`, image);
    expect(ran.status).toBe(3);
    expect(ran.stdout).toContain('the image names no digest for it');
    expect(ran.stdout).toContain('the path leads out of its directory');
  });

  it('needs a digest', () => {
    expect(verify(image)).toMatchObject({ status: 2 });
    expect(verify('--digest=abc', image)).toMatchObject({ status: 2 });
    expect(verify(`--digest=${digest}`, join(scratch, 'none.cfs'))).toMatchObject({ status: 5 });
    expect(verify()).toMatchObject({ status: 2 });
  });
});

function goldenKey(name: string): string {
  const { public_hex } = JSON.parse(readFileSync(`${vectors}keys/${name}.json`, 'utf8'));
  return Buffer.from(public_hex, 'hex').toString('base64');
}

function unpackGolden(tree: string): string {
  const target = join(scratch, `golden-${tree}`);
  if (!existsSync(target)) {
    mkdirSync(target);
    const unpack = ['tar', '-xzf', goldenRepoPath(tree, 'archive'), '-C', target];
    expectSuccess(run(unpack), unpack);
  }
  return join(target, 'archive');
}

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
