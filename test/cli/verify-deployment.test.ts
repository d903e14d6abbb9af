import {
  cpSync,
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
import { goldenKey } from '../deployed-disk.ts';
import { goldenCommits, goldenTree } from '../golden-repo.ts';
import { sealtreeOk } from '../run.ts';
import { damage, report, statuses, unpackGolden, verify } from '../verifying.ts';

const VECTORS = fileURLToPath(new URL('../vectors/ostree/', import.meta.url));

let scratch: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'sealtree-verify-'));
});
afterAll(() => rmSync(scratch, { recursive: true }));

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
    cpSync(unpackGolden('basic', scratch), join(sysroot, 'ostree/repo'), { recursive: true });
    image = join(deployment, '.ostree.cfs');
    writeFileSync(image, gunzipSync(readFileSync(`${VECTORS}basic/composefs.cfs.gz`)));
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
    const dump = readFileSync(`${VECTORS}basic/composefs.cfs.dump`, 'latin1');
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
    const undigested = readFileSync(`${VECTORS}basic/composefs.cfs.dump`, 'latin1').replace(
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

  beforeAll(() => {
    mkdirSync(join(scratch, 'tree/usr/share'), { recursive: true });
    writeFileSync(join(scratch, 'tree/usr/share/large'), Buffer.alloc(300_000, 7));
    writeFileSync(join(scratch, 'tree/usr/share/small'), 'content');
  });

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
