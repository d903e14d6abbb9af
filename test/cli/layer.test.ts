/** `sealtree layer …` and dmverity-vhd: flags, output, status; what is refused leaves nothing. @module */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LAYER_VECTORS, layerVector, PEER } from '../layer-vectors.ts';
import { sealtree, type Word } from '../run.ts';

const TARS = `${LAYER_VECTORS}tars/`;
const IMAGES = `${LAYER_VECTORS}images/`;
const BASIC = PEER.layers['basic.tar']?.hashlayer.stdout as string;

let work: string;
beforeAll(() => {
  work = mkdtempSync(`${tmpdir()}/sealtree-layer-cli-`);
});
afterAll(() => rmSync(work, { recursive: true }));

const run = (args: Word[]) => sealtree(args, { cwd: work });
const dmverity = (args: Word[]) => sealtree(args, { cwd: work, program: 'dmverity-vhd' });

describe('layer hash', () => {
  it.each(['basic.tar', 'basic.tar.gz', 'zeros150m.tar.gz'])('of %s is the peer’s', (name) => {
    const expected = { stdout: PEER.layers[name]?.hashlayer.stdout, stderr: '', status: 0 };
    expect(run(['layer', 'hash', TARS + name])).toMatchObject(expected);
    expect(dmverity(['hashlayer', '-t', TARS + name])).toMatchObject(expected);
  });

  it('refuses what cannot be a layer, with the words of the peer', () => {
    for (const [name, { hashlayer }] of Object.entries(PEER.layers)) {
      if (!name.startsWith('e-')) continue;
      const { stdout, stderr, status } = dmverity(['hashlayer', '--input', TARS + name]);
      expect({ stdout, status }, name).toEqual({ stdout: '', status: 1 });
      expect(stderr.startsWith(hashlayer.err), `${name}: ${stderr}`).toBe(true);
      expect(run(['layer', 'hash', TARS + name]), name).toMatchObject({ stdout: '', status: 4 });
    }
  });

  it('reads a pipe, and says what is wrong with what it cannot read', () => {
    const program = fileURLToPath(new URL('../../dist/sealtree.js', import.meta.url));
    const piped = 'cat "$0" | "$1" "$2" layer hash /dev/stdin';
    const words = ['-c', piped, `${TARS}basic.tar`, process.execPath, program];
    expect(execFileSync('sh', words, { encoding: 'utf8' })).toBe(BASIC);
    expect(run(['layer', 'hash', 'absent']).stderr).toBe(
      'sealtree: opening absent: No such file or directory\n',
    );
    expect(dmverity(['-t', 'absent', 'roothash'])).toMatchObject({
      stderr: 'opening absent: No such file or directory\n',
      status: 1,
    });
  });

  it('refuses platforms that it cannot make layers for', () => {
    const hash = (platform: string) =>
      dmverity(['hashlayer', '-t', `${TARS}basic.tar`, '--platform', platform]);
    expect(hash('windows/amd64')).toMatchObject({ stdout: '', status: 2 });
    expect(hash('windows/amd64').stderr).toMatch(
      /^windows layer hashing is only supported on Windows: use dmverity-vhd\.exe/,
    );
    expect(hash('darwin/arm64')).toMatchObject({
      stdout: '',
      status: 2,
      stderr: 'unsupported platform: darwin/arm64\n',
    });
    expect(hash('linux')).toMatchObject({ stdout: '', status: 1 });
    expect(hash('linux/arm64')).toMatchObject({ stdout: BASIC, status: 0 });
    expect(run(['layer', 'hash', '--platform=windows/amd64', `${TARS}basic.tar`])).toMatchObject({
      stdout: '',
      status: 6,
    });
  });
});

describe('dmverity-vhd', () => {
  it.each([
    [['-t', 'IMAGE', 'roothash']],
    [['--tarball', 'IMAGE', 'roothash']],
    [['-tarball=IMAGE', 'roothash', '--platform=linux/amd64']],
    [['--t=IMAGE', '-v=false', '-b', 'roothash', '-platform', 'linux/amd64', '-i', 'ignored']],
  ])('takes flags as Go does: %j', (words) => {
    const { stdout, status, stderr } = dmverity(
      words.map((word) => word.replace('IMAGE', `${IMAGES}docker.tar`)),
    );
    expect({ stdout, status, stderr }).toEqual({
      stdout: PEER.images['docker.tar']?.roothash.stdout,
      status: 0,
      stderr: '',
    });
  });

  it.each([
    [['roothash', '-x'], 'flag provided but not defined: -x', 1],
    [['--bad', 'roothash'], 'flag provided but not defined: -bad', 1],
    [['---t', 'roothash'], 'bad flag syntax: ---t', 1],
    [['-v=maybe', 'roothash'], 'invalid boolean value "maybe" for -v: parse error', 1],
    [['hashlayer', '-t'], 'flag needs an argument: -t', 1],
    [['hashlayer'], 'Required flag "input" not set', 1],
    [['tar2hashed', '-i', 'x'], 'Required flags "output, type" not set', 1],
    [['tar2hashed', '-i', 'x', '-o', 'y', '-t', 'vhd'], 'type must be either cim or ext4', 1],
    [['roothash', '--image', 'a', '-i', 'b'], 'Cannot use two forms of the same flag: input i', 1],
    [['roothash'], 'must provide -i/--image flag (not required only when using --tarball)', 1],
    [['-d', '-t', 'x', 'roothash'], 'cannot use both docker and tarball for image source', 1],
    [['nothing'], "No help topic for 'nothing'", 3],
  ])('says what is wrong with %j', (words, message, status) => {
    const result = dmverity(words);
    expect(result).toMatchObject({ stderr: `${message}\n`, status });
  });

  it('helps', () => {
    const { stdout, status } = dmverity(['help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^NAME:\n {3}dmverity-vhd - /);
    expect(dmverity([]).stdout).toBe(stdout);
    expect(dmverity(['-h']).stdout).toBe(stdout);
    const create = dmverity(['help', 'create']).stdout;
    expect(create).toContain('--input value, --image value, -i value');
    expect(dmverity(['create', '--help']).stdout).toBe(create);
    expect(dmverity(['--version']).stdout).toBe('dmverity-vhd version 0.0.0\n');
  });

  it('is reached behind the name of sealtree too, logs on standard error and profiles', () => {
    const { stdout, stderr, status } = run([
      'dmverity-vhd',
      '--vv',
      '--profiler',
      'run.cpuprofile',
      'hashlayer',
      '-t',
      `${TARS}basic.tar`,
    ]);
    expect({ stdout, status }).toEqual({ stdout: BASIC, status: 0 });
    expect(stderr).toMatch(/^time="[^"]+Z" level=debug msg="hashlayer called"$/m);
    expect(JSON.parse(readFileSync(`${work}/run.cpuprofile`, 'utf8')).nodes.length).toBeGreaterThan(0);
  });

  it('creates what it says', () => {
    const { stdout, status } = dmverity([
      '-t',
      `${IMAGES}podman-dup.tar`,
      'create',
      '-o',
      './created/',
      '--hdv',
    ]);
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    const ids = ['basic.tar', 'whiteouts.tar', 'basic.tar'].map(
      (name) => (PEER.layers[name] as never as { tar_sha256: string }).tar_sha256,
    );
    expect(lines).toEqual([
      ...ids.map((id) => `hash device created at created/${id}.hash-dev.vhd`),
      ...ids.map((id) => `Layer VHD created at created/${id}.vhd`),
    ]);
    expect(readdirSync(`${work}/created`)).toHaveLength(4);
    const tar = dmverity(['create', '--dir', '-i', `${TARS}basic.tar`, '-o', 'dir']);
    expect(tar).toMatchObject({ stdout: 'Directory VHD created at dir/basic.vhd\n', status: 0 });
  });

  it('leaves nothing where something is wrong', () => {
    const missing = dmverity(['-t', `${IMAGES}e-oci-missing-layer.tar`, 'roothash']);
    expect(missing).toMatchObject({ stdout: '', status: 1 });
    expect(missing.stderr).toMatch(/^missing root hashes for layers: \[1\]/);
    for (const image of ['e-oci-missing-layer.tar', 'e-nomanifest.tar', 'e-not-tar.tar']) {
      expect(dmverity(['-t', IMAGES + image, 'create', '-o', 'nothing', '--hdv']).status).toBe(1);
    }
    expect(
      dmverity(['tar2hashed', '-i', `${TARS}e-truncated.tar`, '-o', 'nothing.ext4', '-t', 'ext4']),
    ).toMatchObject({ stdout: '', status: 1 });
    expect(
      dmverity(['tar2hashed', '-i', `${TARS}basic.tar`, '-o', 'nothing.cim', '-t', 'cim']),
    ).toMatchObject({ stdout: '', status: 2 });
    // The first layer is good, the second is not.
    const spoilt = readFileSync(`${IMAGES}docker.tar`);
    const at = spoilt.indexOf(Buffer.from(layerVector('whiteouts.tar').subarray(0, 512))) + 600;
    spoilt[at] = 1 ^ (spoilt[at] as number);
    writeFileSync(`${work}/spoilt.tar`, spoilt);
    const result = run(['layer', 'create', '--tarball=spoilt.tar', '--out-dir=spoilt']);
    expect(result.status).not.toBe(0);
    const names = readdirSync(work).filter((name) => name.startsWith('nothing') || name === 'spoilt');
    for (const name of names) expect(readdirSync(`${work}/${name}`), name).toEqual([]);
  });
});

describe('layer convert and create', () => {
  it('print the root hash, and give the same bytes when asked to', () => {
    const root = PEER.layers['basic.tar']?.tar2hashed.file?.root_hash;
    for (const name of ['a', 'b'])
      expect(run(['layer', 'convert', '--deterministic', `${TARS}basic.tar.gz`, name])).toMatchObject({
        stdout: `${root}\n`,
        status: 0,
      });
    expect(readFileSync(`${work}/a`).equals(readFileSync(`${work}/b`))).toBe(true);
    const uuid = '01234567-89ab-cdef-0123-456789abcdef';
    expect(run(['layer', 'convert', `--uuid=${uuid}`, `${TARS}basic.tar`, 'c']).status).toBe(0);
    expect(
      readFileSync(`${work}/c`)
        .subarray(77_824 + 16, 77_824 + 32)
        .toString('hex'),
    ).toBe(uuid.replaceAll('-', ''));
    expect(run(['layer', 'convert', '--uuid=7', `${TARS}basic.tar`, 'd'])).toMatchObject({ status: 2 });
    expect(run(['layer', 'create', '--tarball=x'])).toMatchObject({ status: 2 });
  });
});
