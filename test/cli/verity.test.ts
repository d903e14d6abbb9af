/** `sealtree verity` and sealtree as veritysetup: cases of veritysetup 2.6.1, and what differs from it on purpose. */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { readDump } from '../../src/core/dumpfile/read.ts';
import { writeImage } from '../../src/core/erofs/writer.ts';
import { hasDeviceMapper } from '../../src/verity/device-mapper.ts';
import { sealtree } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

interface Case {
  readonly size: number;
  readonly seed: string;
  readonly data_sha256: string;
  readonly same_file: boolean;
  readonly hash_file_size: number;
  readonly hash_file_sha256: string;
  readonly root_hash: string;
  readonly verify_rc: number;
  readonly verify_flipped_rc: number;
  readonly verify_flipped_err: string;
  readonly stdout: string;
  readonly args: readonly string[];
}

const cases: readonly Case[] = JSON.parse(
  readFileSync(new URL('../vectors/dm-verity/veritysetup.json', import.meta.url), 'utf8'),
);
const UUID = '--uuid=12345678-9abc-def0-1234-56789abcdef0';
const scratch = scratchDirectory('verity');
let folder: string;
let count = 0;

beforeEach(() => {
  folder = join(scratch, String(count++));
  mkdirSync(folder);
});
afterAll(() => removeDirectory(scratch));

const data = new Map<string, Buffer>();
function vectorData(seed: string, size: number): Buffer {
  const known = data.get(seed);
  if (known !== undefined && known.length >= size) return known.subarray(0, size);
  const made = Buffer.alloc(Math.ceil(size / 32) * 32);
  for (let i = 0; i * 32 < size; i++)
    createHash('sha256')
      .update(`${seed}:${i}`)
      .digest()
      .copy(made, i * 32);
  data.set(seed, made);
  return made.subarray(0, size);
}

const sha256 = (content: Uint8Array) => createHash('sha256').update(content).digest('hex');
const at = (name: string) => join(folder, name);
const veritysetup = (...args: string[]) => sealtree(args, { cwd: folder, program: 'veritysetup' });
const own = (...args: string[]) => sealtree(['verity', ...args], { cwd: folder });

function change(name: string, offset: number): void {
  const content = readFileSync(at(name));
  content[offset] = (content[offset] as number) ^ 1;
  writeFileSync(at(name), content);
}

/** Twenty blocks of data with tree, parity and root hash. */
function makeDevice(): string {
  writeFileSync(at('d'), vectorData('device', 20 * 4096));
  const made = veritysetup('format', 'd', 'h', UUID, '--salt=00', '--fec-device=f', '--root-hash-file=r');
  expect(made).toMatchObject({ status: 0, stderr: '' });
  return readFileSync(at('r'), 'latin1');
}

describe('a device of veritysetup 2.6.1', () => {
  it.each(cases.map((one) => [`${one.size} bytes ${one.args.slice(3).join(' ')}`, one] as const))(
    '%s',
    (_, one) => {
      writeFileSync(at('d'), vectorData(one.seed, one.size));
      if (!one.same_file) expect(sha256(readFileSync(at('d')))).toBe(one.data_sha256);
      const made = veritysetup(...one.args);
      expect(made.stderr).toBe('');
      // Since 2.7 it prints these two differently.
      const printed = made.stdout
        .replace(/^(VERITY .*)\.$/m, '$1')
        .replace(/^(.*block size:.*) \[bytes\]$/gm, '$1');
      expect(printed).toBe(one.stdout);
      const hashFile = one.same_file ? 'd' : 'h';
      expect(statSync(at(hashFile)).size).toBe(one.hash_file_size);
      expect(sha256(readFileSync(at(hashFile)))).toBe(one.hash_file_sha256);

      const verify = ['verify', 'd', hashFile, one.root_hash, ...one.args.slice(3)];
      expect(veritysetup(...verify).status).toBe(one.verify_rc);
      change('d', 1000);
      expect(veritysetup(...verify)).toMatchObject({
        status: one.verify_flipped_rc,
        stderr: `${one.verify_flipped_err}\n`,
      });
    },
  );
});

describe('format', () => {
  it('leaves nothing of a new hash file when it fails, and gives it to its owner alone when it does not', () => {
    writeFileSync(at('d'), vectorData('v', 8192));
    expect(veritysetup('format', 'd', 'h', '--data-blocks=100')).toMatchObject({
      status: 1,
      stderr: 'Input/output error while creating hash area.\n',
    });
    expect(readdirSync(folder)).toEqual(['d']);
    expect(veritysetup('format', 'd', 'h').status).toBe(0);
    expect(statSync(at('h')).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['d', 'h']);
  });

  it('writes in place what is there, and keeps what is behind the tree', () => {
    writeFileSync(at('d'), vectorData('v', 8192));
    writeFileSync(at('h'), Buffer.alloc(20000, 'Z'), { mode: 0o644 });
    const { ino } = statSync(at('h'));
    expect(veritysetup('format', 'd', 'h').status).toBe(0);
    expect(statSync(at('h'))).toMatchObject({ ino, size: 20000 });
    expect(readFileSync(at('h')).subarray(8192).toString()).toBe('Z'.repeat(20000 - 8192));
  });

  it('prints a salt and a UUID that are new each time', () => {
    writeFileSync(at('d'), vectorData('v', 8192));
    const run = () => {
      const { stdout } = veritysetup('format', 'd', 'h');
      const [, uuid] = /^UUID: +\t([0-9a-f-]{36})$/m.exec(stdout) ?? [];
      const [, salt] = /^Salt: +\t([0-9a-f]{64})$/m.exec(stdout) ?? [];
      return { uuid, salt };
    };
    const first = run();
    const second = run();
    expect(first.uuid).toBeDefined();
    expect(first.salt).toBeDefined();
    expect(second.uuid).not.toBe(first.uuid);
    expect(second.salt).not.toBe(first.salt);
  });

  it('refuses parity that would lie on the tree, where veritysetup 2.8.8 overwrites it', () => {
    writeFileSync(at('d'), vectorData('v', 8192));
    expect(veritysetup('format', 'd', 'h', '--fec-device=h')).toMatchObject({
      status: 1,
      stderr: 'Hash area overlaps with FEC area.\n',
    });
    expect(existsSync(at('h'))).toBe(false);
  });

  it('names a hash that veritysetup has by another OpenSSL', () => {
    writeFileSync(at('d'), vectorData('v', 8192));
    const { status, stderr } = veritysetup('format', 'd', 'h', '--hash=whirlpool');
    expect(status).toBe(1);
    expect(stderr).toMatch(/^Hash algorithm whirlpool not supported\.\n.*OpenSSL in this Node/);
  });
});

describe('verify', () => {
  it('writes nothing, not even to a hash file that is too short', () => {
    const root = makeDevice();
    truncateSync(at('h'), 6000);
    expect(veritysetup('verify', 'd', 'h', root)).toMatchObject({
      status: 1,
      stderr: 'Device h is too small. Need at least 8192 bytes.\n',
    });
    expect(statSync(at('h')).size).toBe(6000);
  });

  it('fails if the file with the root hash cannot be read, where veritysetup 2.8.8 ends with 0', () => {
    makeDevice();
    expect(veritysetup('verify', 'd', 'h', '--root-hash-file=none')).toMatchObject({
      status: 1,
      stderr: 'Cannot read root hash file none.\n',
    });
  });

  it('counts what could be repaired', () => {
    const root = makeDevice();
    change('d', 5000);
    change('d', 70000);
    change('h', 4200);
    expect(veritysetup('verify', 'd', 'h', root, '--fec-device=f')).toMatchObject({
      status: 0,
      stderr:
        'Verification failed at position 4096.\nVerification of data area failed.\n' +
        'Found 3 repairable errors with FEC device.\n',
    });
  });

  it('does not believe parity that was changed with the data', () => {
    const root = makeDevice();
    copyFileSync(at('h'), at('h2'));
    change('d', 5000);
    // The parity of a device of the changed data, with the tree of the right one.
    writeFileSync(at('f'), '');
    expect(veritysetup('format', 'd', 'h3', UUID, '--salt=00', '--fec-device=f').status).toBe(0);
    expect(veritysetup('verify', 'd', 'h2', root, '--fec-device=f')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/Errors cannot be repaired with FEC device\.\n$/),
    });
  });

  it('names the file that a changed block belongs to, as sealtree', () => {
    const image = erofsImage({ name: 'file', content: 'x'.repeat(200) });
    writeFileSync(at('d'), image);
    const made = own('format', 'd', 'h', '--salt=-', '--root-hash-file=r');
    expect(made.status).toBe(0);
    change('d', image.indexOf('xxx'));
    const block = Math.floor(image.indexOf('xxx') / 4096) * 4096;
    const words = ['verify', 'd', 'h', '--root-hash-file=r'];
    const failed = `Verification failed at position ${block}.\nVerification of data area failed.\n`;
    expect(own(...words)).toMatchObject({
      status: 2,
      stderr: `${failed}d: bytes ${block} to ${block + 4095} belong to /file of its EROFS file system\n`,
    });
    expect(veritysetup(...words)).toMatchObject({ status: 2, stderr: failed });
  });

  it('names the bytes where the data is no file system', () => {
    const root = makeDevice();
    change('d', 5000);
    expect(own('verify', 'd', 'h', root).stderr).toMatch(/\nd: bytes 4096 to 8191 differ\n$/);
  });

  it('names the level of the tree that differs', () => {
    writeFileSync(at('d'), vectorData('v', 130 * 4096));
    expect(own('format', 'd', 'h', '--root-hash-file=r').status).toBe(0);
    change('h', 4096);
    expect(own('verify', 'd', 'h', '--root-hash-file=r').stderr).toBe(
      'Verification failed at position 8192.\nVerification of data area failed.\n' +
        'h: bytes 8192 to 12287 are of level 0 of the hash tree\n',
    );
  });
});

describe.skipIf(hasDeviceMapper())('open, close and status without a device-mapper', () => {
  const refusal =
    /^Cannot initialize device-mapper\. Is dm_mod kernel module loaded\?\nOnly open, close and status/;

  it('are refused with the status of veritysetup', () => {
    const root = makeDevice();
    expect(own('open', 'd', 'name', 'h', root)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(refusal),
    });
    expect(own('close', 'name')).toMatchObject({ status: 4, stderr: expect.stringMatching(refusal) });
    expect(own('status', 'name')).toMatchObject({ status: 1, stderr: expect.stringMatching(refusal) });
  });

  it('but a wrong root hash is told before', () => {
    const root = makeDevice();
    const wrong = `${root.slice(0, -1)}${root.endsWith('0') ? '1' : '0'}`;
    expect(own('open', 'd', 'name', 'h', wrong)).toMatchObject({
      status: 1,
      stderr: 'Verification of root hash failed.\n',
    });
  });
});

it('shows help of its own for the program and for each action', () => {
  expect(veritysetup('--help').stdout).toMatch(/^ {2}format +Make the hash tree/m);
  expect(own('format', '--help').stdout).toMatch(/^Usage:\n {2}sealtree verity format /);
  expect(veritysetup('--version').stdout).toBe('veritysetup 2.8.8\n');
});

function erofsImage({ name, content }: { name: string; content: string }): Buffer {
  const pieces: Buffer[] = [];
  const dump = `/ 4096 40755 2 0 0 0 1.0 - - -\n/${name} ${content.length} 100644 1 0 0 0 1.0 - ${content} -\n`;
  writeImage(readDump([byteString(dump)]), { minVersion: 0, maxVersion: 0 }, (piece) =>
    pieces.push(Buffer.from(piece)),
  );
  return Buffer.concat(pieces);
}
