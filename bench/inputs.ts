/** Trees and files that rows work on: those of the machine, and generated ones. @module */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { type ByteString, byteString, utf8ByteString } from '../src/core/bytes/byte-string.ts';
import { fsPath } from '../src/node/fs-path.ts';
import { type TreeOptions, writeTree } from './generated-tree.ts';
import { numbers } from './random.ts';
import type { InputSize } from './row.ts';
import { runQuietly } from './run-process.ts';
import { writeSystemDump } from './system-dump.ts';

export interface Tree {
  readonly id: string;
  readonly title: string;
  readonly path: string;
  /** Writes it if it is a generated one, and reads all of it, so that it is in the page cache. */
  prepare(): void;
  size(): InputSize;
}

/** A directory that is there. */
export function existingTree(id: string, title: string, path: string): Tree {
  return { id, title, path, prepare: () => readAll(path), size: () => sizeOf(path) };
}

export function generatedTree(id: string, title: string, path: string, options: TreeOptions): Tree {
  return {
    id,
    title,
    path,
    prepare: () => {
      make(path, (part) => writeTree(part, options));
      readAll(path);
    },
    size: () => sizeOf(path),
  };
}

/** Removes a file or directory with all that is in it, if it is there; with many files that is faster than Node does it. */
export function remove(path: string): void {
  runQuietly(['rm', '-rf', '--one-file-system', path]);
}

/** Makes what is not there under another name first, so that what has its name is whole. */
export function make(path: string, write: (part: string) => void): void {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  const part = `${path}.part`;
  remove(part);
  write(part);
  renameSync(part, path);
}

export function makeDump(path: string, entries: number, seed: number): void {
  make(path, (part) => {
    const file = openSync(part, 'w');
    writeSystemDump(entries, seed, (text) => writeSync(file, text, null, 'latin1'));
    closeSync(file);
  });
}

/** Bytes that do not repeat within a block; fs-verity does not care which they are. */
export function makeLarge(path: string, megabytes: number, seed: number): void {
  make(path, (part) => {
    const file = openSync(part, 'w');
    const data = new Uint32Array(1 << 18);
    const random = numbers(seed);
    for (let i = 0; i < data.length; i++) data[i] = random();
    for (let i = 0; i < megabytes; i++) {
      for (let at = 0; at < data.length; at += 1024) data[at] = i;
      writeSync(file, data);
    }
    closeSync(file);
  });
}

export function copyTree(from: string, to: string): void {
  make(to, (part) => runQuietly(['cp', '--archive', '--reflink=auto', from, part]));
}

/** Writes other bytes to the beginning of each hundredth file of a tree; its size stays. */
export function changeSomeFiles(tree: string, seed: number): void {
  const random = numbers(seed);
  walk(tree, (path, kind) => {
    if (kind !== 'file' || random() % 100 !== 0) return;
    const { size } = statSync(fsPath(path));
    const data = Buffer.alloc(Math.min(size, 16), random().toString(36));
    if (data.length === 0) return;
    const file = openSync(fsPath(path), 'r+');
    writeSync(file, data, 0, data.length, 0);
    closeSync(file);
  });
}

/** Remembers beside a file or directory that it is in some state, until it is changed or made anew. */
export function mark(path: string, state: string): void {
  writeFileSync(`${path}.state`, state);
}

export function unmark(path: string): void {
  rmSync(`${path}.state`, { force: true });
}

export function hasMark(path: string, state: string): boolean {
  return existsSync(`${path}.state`) && readFileSync(`${path}.state`, 'utf8') === state;
}

function readAll(path: string): void {
  runQuietly([
    'find',
    path,
    '-xdev',
    '-type',
    'f',
    '-exec',
    'sh',
    '-c',
    'cat -- "$@" >/dev/null',
    'sh',
    '{}',
    '+',
  ]);
}

function sizeOf(path: string): InputSize {
  let [entries, bytes] = [0, 0];
  walk(path, (entry, kind) => {
    entries++;
    if (kind === 'file') bytes += statSync(fsPath(entry)).size;
  });
  return { entries, bytes };
}

/** Calls `visit` with each entry below a directory and with itself, in an order that does not depend on the file system. */
function walk(root: string, visit: (path: ByteString, kind: 'file' | 'directory' | 'other') => void): void {
  const waiting = [utf8ByteString(root)];
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    visit(directory, 'directory');
    const entries = readdirSync(fsPath(directory), { encoding: 'latin1', withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = byteString(`${directory}/${entry.name}`);
      if (entry.isDirectory()) waiting.push(path);
      else visit(path, entry.isFile() ? 'file' : 'other');
    }
  }
}
