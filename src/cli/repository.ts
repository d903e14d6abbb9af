/** The repository that a verb of ostree works on: `--repo`, or where ostree looks for one. @module */
import { readlinkSync, statSync } from 'node:fs';
import { type ByteString, byteString, utf8ByteString } from '../core/bytes/byte-string.ts';
import { isErrno } from '../node/io-error.ts';
import { Repo } from '../repo/repo.ts';
import { usageError } from './usage.ts';
import type { Context } from './verb.ts';

/**
 * Opens the repository of `--repo`; without it the current directory if that looks like one, then `OSTREE_REPO`, then
 * the system's (`/ostree/repo` below `OSTREE_SYSROOT`).
 */
export function openRepository(context: Pick<Context, 'options'>): Repo {
  const given = context.options.value('repo');
  if (given !== undefined) return Repo.open(absolutePath(given));
  try {
    return Repo.open(absolutePath(defaultRepository()));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) throw usageError('Command requires a --repo argument');
    throw error;
  }
}

/** A path as the real tool makes it absolute: `.` and `..` resolved by their names, no slash at the end. */
export function absolutePath(path: ByteString): ByteString {
  const parts: string[] = [];
  const full = path.startsWith('/') ? path : `${readlinkSync('/proc/self/cwd', 'latin1')}/${path}`;
  for (const part of full.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return byteString(`/${parts.join('/')}`);
}

function defaultRepository(): ByteString {
  if (isA('objects', 'isDirectory') && isA('config', 'isFile')) return byteString('.');
  const { OSTREE_REPO: repo = '', OSTREE_SYSROOT: sysroot = '/' } = process.env;
  return utf8ByteString(repo === '' ? `${sysroot}/ostree/repo` : repo);
}

function isA(path: string, kind: 'isDirectory' | 'isFile'): boolean {
  try {
    return statSync(path)[kind]();
  } catch {
    return false;
  }
}
