/** `composefs-info`: what is in composefs images. @module */
import { existsSync, statSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { escapeField } from '../../core/dumpfile/escape.ts';
import { writeDump } from '../../core/dumpfile/write.ts';
import { readImage } from '../../core/erofs/reader.ts';
import { systemCallError } from '../../core/errno.ts';
import { malformed, prefixed, SealtreeError } from '../../core/errors.ts';
import { type DirectoryEntry, type Inode, isHardLink } from '../../core/fs/file-tree.ts';
import { isDirectory, isRegular, isSymlink } from '../../core/fs/mode.ts';
import { walkTree } from '../../core/fs/walk.ts';
import { openImageFile } from '../../image/image-source.ts';
import { measureFile } from '../../image/measure-file.ts';
import { fsPath, joinPath } from '../../node/fs-path.ts';
import { ioError } from '../../node/io-error.ts';
import type { Output } from '../output.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'composefs-info',
  path: ['composefs-info'],
  summary: 'Print what is in composefs images',
  operands: 'ls|dump|objects|missing-objects|measure-file IMAGE...',
  options: [
    { flags: '--basedir <path>', description: 'Object directory in which missing-objects looks' },
    {
      flags: '--filter <name>',
      description: 'Read only this name of the root directory; may be given again',
    },
  ],
  examples: [
    'sealtree composefs-info ls image.cfs',
    'sealtree composefs-info --basedir=objects missing-objects image.cfs',
  ],
  description: [
    'ls prints the paths, with the backing file of each regular file and the target of each symlink; dump prints ' +
      'everything as a dump file, which mkcomposefs --from-file reads; objects prints the backing files that the ' +
      'images name, missing-objects those that are not in the object directory; measure-file prints the fs-verity ' +
      'digest of files.',
    'An image that is damaged, or made to mislead, is refused with what is wrong and where.',
  ],
  run,
};

function run({ args, options, stdout, stderr }: Context): number {
  const filter = filterOf(options.values('filter'));
  const [command, ...images] = args;
  if (command === undefined) throw usageError('No command specified');
  if (command === 'measure-file') return measure(images, stdout, stderr);
  const print = printerOf(command, options.value('basedir'));
  if (images.length === 0) throw usageError('No image path specified');
  for (const image of images) print.tree(load(image, filter), stdout);
  print.end?.(stdout);
  return 0;
}

interface Printer {
  tree(root: Inode, stdout: Output): void;
  end?(stdout: Output): void;
}

function printerOf(command: ByteString, basedir: ByteString | undefined): Printer {
  switch (command) {
    case 'ls':
      checkBasedir(basedir);
      return { tree: printNames };
    case 'dump':
      checkBasedir(basedir);
      return { tree: (root, stdout) => writeDump(root, (text) => stdout.write(text)) };
    case 'objects':
      checkBasedir(basedir);
      return objectPrinter(() => true);
    case 'missing-objects':
      checkBasedir(basedir);
      return objectPrinter((path) => !isThere(basedir, path));
    default:
      // The newline is the real tool's.
      throw new SealtreeError('missing', `Unknown command '${displayByteString(command)}'\n`);
  }
}

/** The names of a tree, with what stands behind them. */
function printNames(root: Inode, stdout: Output): void {
  walkTree(root, (path, entry) => {
    if (entry === root) return;
    stdout.write(byteString(`${escapeField(path, { keepSpace: true })}${behind(entry)}\n`));
  });
}

function behind(entry: DirectoryEntry): string {
  if (isHardLink(entry)) return '';
  if (isDirectory(entry.mode)) return '/\t';
  if (entry.payload === undefined) return '';
  if (isSymlink(entry.mode)) return `\t-> ${escapeField(entry.payload)}`;
  return isRegular(entry.mode) ? `\t@ ${escapeField(entry.payload)}` : '';
}

/** Collects the backing files of all images, to print each once and in order. */
function objectPrinter(isWanted: (path: ByteString) => boolean): Printer {
  const known = new Set<ByteString>();
  const wanted: ByteString[] = [];
  return {
    tree(root) {
      walkTree(root, (_path, entry) => {
        if (isHardLink(entry) || !isRegular(entry.mode) || entry.payload === undefined) return;
        if (known.has(entry.payload)) return;
        known.add(entry.payload);
        if (isWanted(entry.payload)) wanted.push(entry.payload);
      });
    },
    end(stdout) {
      for (const path of wanted.sort()) stdout.write(byteString(`${path}\n`));
    },
  };
}

function isThere(basedir: ByteString | undefined, path: ByteString): boolean {
  if (basedir === undefined) return false;
  const relative = byteString(path.replace(/^\/+/, ''));
  return existsSync(fsPath(relative === '' ? basedir : joinPath(basedir, relative)));
}

function checkBasedir(basedir: ByteString | undefined): void {
  if (basedir === undefined) return;
  try {
    if (!statSync(fsPath(basedir)).isDirectory()) throw systemCallError('open', 'ENOTDIR');
  } catch (error) {
    throw ioError(`Can't open basedir \`${displayByteString(basedir)}\`\n`, error);
  }
}

function filterOf(names: readonly ByteString[]): ReadonlySet<ByteString> | undefined {
  const path = names.find((name) => name.includes('/'));
  if (path !== undefined)
    throw malformed(`Filter must be a single name: ${displayByteString(path)}: Success`);
  return names.length === 0 ? undefined : new Set(names);
}

function load(path: ByteString, filter: ReadonlySet<ByteString> | undefined): Inode {
  const shown = displayByteString(path);
  const image = openImageFile(path);
  try {
    return readImage(image, filter === undefined ? {} : { filter });
  } catch (error) {
    throw prefixed(`Failed to load '${shown}'`, error);
  } finally {
    image.close();
  }
}

function measure(files: readonly ByteString[], stdout: Output, stderr: Output): number {
  if (files.length === 0) throw usageError('No files specified');
  for (const file of files) {
    const digest = measureFile(file);
    if (typeof digest !== 'string') {
      stdout.flush();
      stderr.line(`failed to measure '${displayByteString(file)}': ${digest.message}`);
      return 1;
    }
    stdout.line(digest);
  }
  return 0;
}
