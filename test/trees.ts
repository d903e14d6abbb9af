/** Trees at the edge of what ostree and mkcomposefs accept, made anew for each test. @module */
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ByteString, byteString, utf8ByteString } from '../src/core/bytes/byte-string.ts';
import { setXattr } from '../src/node/syscalls.ts';

const isRoot = process.getuid?.() === 0;

/** A new directory below the temporary one. */
export function scratchDirectory(name: string): string {
  return mkdtempSync(join(tmpdir(), `sealtree-${name}-`));
}

/** Removes it, whatever modes the directories in it have. */
export function removeDirectory(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

/** Everything that both ostree and mkcomposefs take and that is seldom met: names, sizes, modes, owners, links, xattrs. */
export function makeEdgeTree(path: string): string {
  mkdirSync(path);
  const at = (name: string) => join(path, name);
  const names = [
    'new\nline',
    'tab\tand\rreturn',
    ' leading and trailing ',
    '-dash',
    '!before-dot',
    '.hidden',
    '..also',
    'back\\slash',
    'equals=sign',
    'quote"\'`$(x)',
    'a'.repeat(255),
    'ü'.repeat(127),
    '\u007f',
    '\ue000private',
    '\u{1f332}tree',
    'combining e\u0301',
    '\x01',
    'UPPER',
    'upper',
  ];
  mkdirSync(at('names'));
  for (const name of names) writeFileSync(at(`names/${name}`), name);
  for (const name of names) mkdirSync(at(`names/d${name.slice(0, 100)}`));

  mkdirSync(at('sizes'));
  for (const size of [0, 1, 63, 64, 65, 2048, 2049, 4095, 4096, 4097, 8192, 524_288, 524_289]) {
    writeFileSync(at(`sizes/${size}`), pattern(size, size));
  }
  const sparse = openSync(at('sizes/sparse'), 'w');
  writeSync(sparse, 'start');
  writeSync(sparse, 'middle', 5_000_000);
  ftruncateSync(sparse, 12_345_678);
  closeSync(sparse);

  mkdirSync(at('links'));
  for (const length of [1, 59, 60, 255, 1000, 3900, 4063]) {
    symlinkSync(`${'x'.repeat(254)}/`.repeat(17).slice(0, length), at(`links/${length}`));
  }
  symlinkSync('ends\nhere', at('links/newline'));
  symlinkSync('../sizes', at('links/directory'));
  for (const name of ['first', 'second', 'third'])
    linkOrWrite(at(`links/hard-${name}`), at('links/hard-first'));

  mkdirSync(at('modes'));
  for (const mode of [0o000, 0o444, 0o755, 0o4755, 0o2755, 0o6711, 0o1644, 0o664, 0o777]) {
    const name = mode.toString(8).padStart(4, '0');
    writeFileSync(at(`modes/file-${name}`), `mode ${name}\n`);
    chmodSync(at(`modes/file-${name}`), mode);
    mkdirSync(at(`modes/directory-${name}`));
    chmodSync(at(`modes/directory-${name}`), mode);
  }
  mkdirSync(at('empty'));
  mkdirSync(at('empty/inner'));
  utimesSync(at('sizes/1'), -1, 1.5);
  utimesSync(at('sizes/63'), 4_000_000_000, 4_000_000_000.123);

  if (isRoot) makeOwners(at('owners'));
  makeXattrs(at('xattrs'));
  return path;
}

/** A tree in which directory entries and not contents are the load: `count` files in one directory. */
export function makeWideTree(path: string, count: number): string {
  mkdirSync(join(path, 'wide'), { recursive: true });
  for (let i = 0; i < count; i++) writeFileSync(join(path, 'wide', `entry-${i.toString(36)}`), `${i % 64}`);
  return path;
}

/** A tree of `depth` directories in each other, a file in the innermost. */
export function makeDeepTree(path: string, depth: number): string {
  mkdirSync(join(path, 'd/'.repeat(depth)), { recursive: true });
  writeFileSync(join(path, 'd/'.repeat(depth), 'f'), 'the innermost\n');
  return path;
}

/** A tree such as a program's data: `count` files of mixed sizes in folders. `seed` makes it another one. */
export function makeFiles(path: string, count: number, seed = 0): string {
  for (let i = 0; i < count; i++) {
    const folder = join(path, `folder-${i % 7}`, `inner-${i % 3}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `file-${i}`), pattern((i * 7919) % 20_000, i + seed));
  }
  return path;
}

/** `length` bytes without a short period, different for each seed. */
export function pattern(length: number, seed: number): Uint8Array {
  const data = new Uint8Array(length);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    data[i] = state >>> 24;
  }
  return data;
}

function linkOrWrite(path: string, first: string): void {
  if (path === first) writeFileSync(path, 'one file, three names\n');
  else linkSync(first, path);
}

function makeOwners(path: string): void {
  mkdirSync(path);
  for (const [uid, gid] of [
    [1, 2],
    [65_535, 65_535],
    [65_536, 70_000],
    [4_294_967_294, 4_294_967_294],
  ] as const) {
    writeFileSync(join(path, `file-${uid}`), `${uid}\n`);
    symlinkSync(`file-${uid}`, join(path, `link-${uid}`));
    mkdirSync(join(path, `directory-${uid}`));
    for (const kind of ['file', 'link', 'directory']) lchownSync(join(path, `${kind}-${uid}`), uid, gid);
  }
}

/** Attributes of every namespace that the user may set; of files, directories and (only root can) symlinks. */
function makeXattrs(path: string): void {
  mkdirSync(path);
  const at = (name: string) => utf8ByteString(join(path, name));
  const value = (text: string) => byteString(text);
  const set = (name: string, attributes: Readonly<Record<string, string>>) => {
    for (const [key, text] of Object.entries(attributes))
      setXattr(at(name), utf8ByteString(key), value(text));
  };
  const user = { 'user.note': 'seen', 'user.empty': '', 'user.bytes': '\0\x01\xff\n', 'user.ümlaut=': 'ü' };
  for (const name of ['one', 'two', 'three']) writeFileSync(join(path, name), name);
  mkdirSync(join(path, 'directory'));
  set('one', user);
  set('two', user);
  set('two', { 'user.large': 'v'.repeat(2000) });
  set('directory', user);
  if (!isRoot) return;
  set('three', {
    'trusted.overlay.opaque': 'y',
    'trusted.overlay.redirect': '/elsewhere',
    'trusted.overlay': 'plain',
    'trusted.other': 'x',
    // CAP_NET_RAW in a version 2 structure, as `setcap cap_net_raw+ep` writes it.
    'security.capability': '\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0',
  });
  symlinkSync('one', join(path, 'link'));
  set('link', { 'trusted.of-a-link': '1' });
  set('directory', { 'system.posix_acl_default': accessControlList() });
}

/** user::rwx user:1000:r-x group::r-x mask::r-x other::--- in the kernel's layout (acl(5), linux/posix_acl_xattr.h). */
function accessControlList(): ByteString {
  const data = Buffer.alloc(4 + 5 * 8);
  data.writeUInt32LE(2, 0);
  const none = 0xffffffff;
  const entries = [
    [0x01, 7, none],
    [0x02, 5, 1000],
    [0x04, 5, none],
    [0x10, 5, none],
    [0x20, 0, none],
  ] as const;
  for (const [i, [tag, permissions, id]] of entries.entries()) {
    data.writeUInt16LE(tag, 4 + i * 8);
    data.writeUInt16LE(permissions, 6 + i * 8);
    data.writeUInt32LE(id, 8 + i * 8);
  }
  return byteString(data.toString('latin1'));
}
