/** System calls through koffi, on the file system of the temporary directory. @module */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, lstatSync, openSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ByteString, byteString } from '../../src/core/bytes/byte-string.ts';
import type { SealtreeError } from '../../src/core/errors.ts';
import { verityParameters } from '../../src/core/verity/descriptor.ts';
import { foreign } from '../../src/node/foreign.ts';
import { ioError } from '../../src/node/io-error.ts';
import {
  AT_FDCWD,
  copyFileRange,
  enableVerity,
  getXattr,
  linkat,
  listXattrs,
  lockFile,
  measureVerity,
  readLinkAt,
  readXattrs,
  removeXattr,
  renameat2,
  setXattr,
  statAt,
  syncfs,
} from '../../src/node/syscalls.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

let scratch: string;
let file: ByteString;
beforeAll(() => {
  scratch = scratchDirectory('syscalls');
  file = byteString(`${scratch}/f\xfcr`);
  writeFileSync(Buffer.from(file, 'latin1'), 'content');
});
afterAll(() => removeDirectory(scratch));

describe('extended attributes', () => {
  const key = byteString('user.k\xe4y');
  const value = byteString(Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).join(''));

  it('keep every byte of keys and values, by path and by descriptor', () => {
    expect(readXattrs(file)).toEqual([]);
    setXattr(file, key, value);
    setXattr(file, byteString('user.a'), byteString(''));
    const fd = openSync(Buffer.from(file, 'latin1'), 'r+');
    const expected = [
      ['user.a', ''],
      [key, value],
    ];
    expect([readXattrs(file), readXattrs(fd)]).toEqual([expected, expected]);
    expect([getXattr(file, key), getXattr(fd, byteString('user.none'))]).toEqual([value, undefined]);
    removeXattr(fd, key);
    removeXattr(file, byteString('user.a'));
    closeSync(fd);
    expect(listXattrs(file)).toEqual([]);
  });

  it('are read when they are larger than the first buffer', () => {
    const large = byteString('\x80'.repeat(2500));
    setXattr(file, byteString('user.large'), large);
    expect(getXattr(file, byteString('user.large'))).toBe(large);
    expect(readXattrs(file, (name) => name.startsWith('trusted.'))).toEqual([]);
    removeXattr(file, byteString('user.large'));
  });

  it('fail with the words of the system', () => {
    const call = () => readXattrs(byteString(`${scratch}/none`));
    expect(call).toThrow(`listxattr ${scratch}/none: No such file or directory`);
    expect(() => setXattr(file, byteString('user.\0'), value)).toThrow('Invalid argument');
    expect(() => listXattrs(byteString('x'.repeat(4096)))).toThrow('File name too long');
    try {
      call();
    } catch (error) {
      expect(ioError('reading xattrs', error)).toMatchObject({
        code: 'io',
        message: 'reading xattrs: No such file or directory',
        detail: { errno: 'ENOENT' },
      });
    }
  });
});

describe('a lock', () => {
  const open = () => openSync(`${scratch}/lock`, constants.O_RDWR | constants.O_CREAT);

  it('is held against other descriptors of this process', () => {
    const [a, b] = [open(), open()];
    expect([lockFile(a, 'shared'), lockFile(b, 'shared'), lockFile(b, 'exclusive')]).toEqual([
      true,
      true,
      false,
    ]);
    expect([lockFile(a, 'none'), lockFile(b, 'exclusive'), lockFile(a, 'shared')]).toEqual([
      true,
      true,
      false,
    ]);
    closeSync(b);
    expect(lockFile(a, 'exclusive', { wait: true })).toBe(true);
    closeSync(a);
  });

  it('is held against other processes, and by them', async () => {
    const fd = open();
    const child = spawn(process.execPath, ['-e', HOLD_LOCK, `${scratch}/lock`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    expect(String((await once(child.stdout, 'data'))[0])).toBe('0\n');
    expect(lockFile(fd, 'shared')).toBe(false);
    child.stdin.end();
    await once(child, 'exit');
    expect(lockFile(fd, 'exclusive')).toBe(true);
    const second = spawn(process.execPath, ['-e', HOLD_LOCK, `${scratch}/lock`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    second.stdin.end();
    expect(String((await once(second.stdout, 'data'))[0])).toBe('-1\n');
    await once(second, 'exit');
    closeSync(fd);
  });
});

/** Takes an exclusive OFD lock (F_OFD_SETLK) without waiting, tells the result, and keeps it until its input ends. */
const HOLD_LOCK = `
  const lock = Buffer.alloc(32);
  lock.writeInt16LE(1, 0);
  const fcntl = require('koffi').load('libc.so.6').func('fcntl', 'int', ['int', 'int', 'void *']);
  console.log(fcntl(require('fs').openSync(process.argv[1], 'r+'), 37, lock));
  process.stdin.resume();
`;

describe('names and status', () => {
  it('statAt tells what lstat tells, with nanoseconds', () => {
    const expected = lstatSync(Buffer.from(file, 'latin1'), { bigint: true });
    const status = statAt(AT_FDCWD, file);
    expect(status).toMatchObject({
      mode: Number(expected.mode),
      size: Number(expected.size),
      ino: expected.ino,
      uid: Number(expected.uid),
    });
    expect(BigInt(status.mtimeSec) * 10n ** 9n + BigInt(status.mtimeNsec)).toBe(expected.mtimeNs);
    expect(BigInt(status.ctimeSec) * 10n ** 9n + BigInt(status.ctimeNsec)).toBe(expected.ctimeNs);
  });

  it('statAt packs device numbers as the kernel does', () => {
    expect(statAt(AT_FDCWD, byteString('/dev/null')).rdev).toBe(0x103);
  });

  it('a symlink is read, not followed', () => {
    symlinkSync('t\xe4rget', `${scratch}/link`);
    expect(readLinkAt(AT_FDCWD, byteString(`${scratch}/link`))).toBe('t\xc3\xa4rget');
    expect(statAt(AT_FDCWD, byteString(`${scratch}/link`)).mode & 0o170000).toBe(0o120000);
  });

  it('a file gets a name by its descriptor, and a rename that must not replace does not', () => {
    writeFileSync(`${scratch}/named`, 'named');
    const fd = openSync(`${scratch}/named`, 'r');
    linkat(fd, byteString(`${scratch}/second`));
    closeSync(fd);
    expect(readFileSync(`${scratch}/second`, 'utf8')).toBe('named');
    writeFileSync(`${scratch}/other`, 'other');
    const swap = (how: 'noreplace' | 'exchange') =>
      renameat2(byteString(`${scratch}/other`), byteString(`${scratch}/second`), how);
    expect(() => swap('noreplace')).toThrow('renameat2: File exists');
    swap('exchange');
    expect(readFileSync(`${scratch}/second`, 'utf8')).toBe('other');
  });

  it('the kernel copies from the current offsets', () => {
    const source = openSync(Buffer.from(file, 'latin1'), 'r');
    const target = openSync(`${scratch}/copy`, 'w');
    expect([copyFileRange(source, target, 3), copyFileRange(source, target, 100)]).toEqual([3, 4]);
    syncfs(target);
    closeSync(source);
    closeSync(target);
    expect(readFileSync(`${scratch}/copy`, 'utf8')).toBe('content');
  });
});

describe('fs-verity', () => {
  it('is off, and not to be had for a directory', () => {
    const fd = openSync(scratch, 'r');
    expect(measureVerity(fd)).toBeUndefined();
    let failure: SealtreeError | undefined;
    try {
      enableVerity(fd, verityParameters());
    } catch (error) {
      failure = error as SealtreeError;
    }
    expect(failure?.detail.errno).toMatch(/^(EOPNOTSUPP|ENOTTY|EISDIR)$/);
    closeSync(fd);
  });
});

describe('a foreign function', () => {
  it('that is not there is refused when it is called', () => {
    expect(() => foreign('no_such_function', 'int', [])()).toThrow(
      'no_such_function() is not in this C library',
    );
    expect(() => foreign('f', 'int', [], 'libnone.so')()).toThrow(
      'libnone.so cannot be loaded on this system',
    );
  });
});
