/** `ostree ls`: the files of a commit, one line each. @module */
import { type ByteString, byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { prefixed } from '../../core/errors.ts';
import { isSymlink } from '../../core/fs/mode.ts';
import { printVariant } from '../../core/gvariant/text-print.ts';
import { xattrsValue } from '../../core/ostree/xattrs.ts';
import type { FileObject } from '../../repo/modes/file-object.ts';
import type { Repo } from '../../repo/repo.ts';
import {
  childPath,
  lookUp,
  readDirectory,
  rootOf,
  type TreeDirectory,
  type TreeEntry,
} from '../../repo/tree-path.ts';
import { openRepository } from '../repository.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['ls'],
  summary: 'List the files of a commit',
  operands: 'COMMIT [PATH...]',
  options: [
    { flags: '-d, --dironly', description: 'List a directory itself, not what is in it' },
    { flags: '-R, --recursive', description: 'List directories with all that is below them' },
    { flags: '-C, --checksum', description: 'Print the checksums of the objects' },
    { flags: '-X, --xattrs', description: 'Print the extended attributes' },
    { flags: '--nul-filenames-only', description: 'Print nothing but paths, each ended by a NUL byte' },
  ],
  examples: ['sealtree ls --repo=repo -R main', 'sealtree ls --repo=repo -C -X main /usr/bin'],
  run,
};

function run(context: Context): void {
  const { args } = context;
  const repo = openRepository(context);
  const [rev, ...paths] = args;
  if (rev === undefined) throw usageError('An COMMIT argument is required');
  const root = rootOf(repo, repo.resolveRev(rev));
  if (paths.length === 0) list(context, repo, root);
  for (const path of paths) {
    try {
      list(context, repo, lookUp(repo, root, path));
    } catch (error) {
      throw prefixed(`Inspecting path '${displayByteString(path)}'`, error);
    }
  }
}

/** An entry and what is below it, as far as the options say. */
function list(context: Context, repo: Repo, entry: TreeEntry): void {
  const { options, stdout } = context;
  const print = printerOf(context, repo);
  stdout.write(print(entry));
  if (entry.kind === 'file') return;
  const recursive = options.has('recursive');
  if (!recursive && options.has('dironly')) return;
  // Directories wait in a list of their own: a tree may be deeper than the stack.
  const waiting: { path: ByteString; dirtree: string; dirmeta: string }[] = [];
  const printChildren = ({ path, content: { files, dirs } }: TreeDirectory): void => {
    for (const { name, checksum } of files) {
      stdout.write(print({ kind: 'file', path: childPath(path, name), checksum }));
    }
    for (let i = dirs.length - 1; i >= 0; i--) {
      const { name, ...checksums } = dirs[i] as (typeof dirs)[number];
      waiting.push({ path: childPath(path, name), ...checksums });
    }
  };
  printChildren(entry);
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const directory = readDirectory(repo, next.path, next.dirtree, next.dirmeta);
    stdout.write(print(directory));
    if (recursive) printChildren(directory);
  }
}

function printerOf({ options }: Context, repo: Repo): (entry: TreeEntry) => ByteString {
  if (options.has('nul-filenames-only')) return ({ path }) => byteString(`${path}\0`);
  const checksums = options.has('checksum');
  const xattrs = options.has('xattrs');
  return (entry) => {
    const isDirectory = entry.kind === 'directory';
    const file = isDirectory ? undefined : repo.file(entry.checksum);
    const meta = isDirectory ? entry.meta : (file as FileObject).header;
    const target = file !== undefined && isSymlink(meta.mode) ? file.header.symlinkTarget : undefined;
    const type = isDirectory ? 'd' : target === undefined ? '-' : 'l';
    const permissions = (meta.mode & 0o7777).toString(8).padStart(4, '0');
    const size = String(file?.size ?? 0).padStart(6);
    const fields = [`${type}0${permissions}`, meta.uid, meta.gid, size];
    if (checksums) fields.push(...(isDirectory ? [entry.dirtree, entry.dirmeta] : [entry.checksum]));
    if (xattrs) fields.push(`{ ${printVariant('a(ayay)', xattrsValue(meta.xattrs), { annotate: true })} }`);
    const arrow = target === undefined ? '' : ` -> ${target}`;
    return byteString(`${fields.join(' ')} ${entry.path}${arrow}\n`);
  };
}
