/** `mount.composefs`, and `sealtree mount`: mounts a composefs image over the directories of its files. @module */
import { type ByteString, byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { SealtreeError } from '../../core/errors.ts';
import { type ComposefsMount, mountComposefs } from '../../node/mount.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'mount.composefs',
  path: ['mount'],
  summary: 'Mount a composefs image',
  operands: 'IMAGE MOUNTPOINT',
  options: [
    { flags: '-t, --types <type>', description: 'File system type, which can only be composefs' },
    { flags: '-o, --options <options>', description: 'Mount options, separated by commas' },
  ],
  examples: [
    'sealtree mount -o basedir=repo/objects,ro image.cfs /mnt',
    'sealtree mount -o basedir=repo/objects,digest=DIGEST image.cfs /mnt',
  ],
  description: [
    'basedir=DIRECTORY[:DIRECTORY…] says where the files are, and has to be given. digest=HEX is the fs-verity digest that the image must have: the kernel measures it, so fs-verity must be on for the image, and implies verity. verity makes the kernel refuse every file whose fs-verity digest is not the one in the image; tryverity does so if the kernel can. upperdir=DIRECTORY and workdir=DIRECTORY, which go together, take changes. ro and rw say how the mount is, idmap=/proc/PID/ns/user maps the owners of files.',
    'A comma or backslash in a value has a backslash in front.',
  ],
  run,
};

const VALUE_OPTIONS = ['basedir', 'digest', 'upperdir', 'workdir', 'idmap'] as const;
const FLAG_OPTIONS = ['verity', 'tryverity', 'ro', 'rw'] as const;

type MountOptions = {
  -readonly [key in (typeof VALUE_OPTIONS)[number]]?: ByteString;
} & { verity?: boolean; tryverity?: boolean; readonly?: boolean };

function run({ args, options }: Context): void {
  const type = options.values('types').find((given) => given !== 'composefs');
  if (type !== undefined) throw refused(`Unsupported fs type '${displayByteString(type)}'`);
  const [image, mountPoint] = args;
  if (image === undefined) throw usageError('No source path specified');
  if (mountPoint === undefined) throw usageError('No mount path specified');
  mountComposefs(mountFor(image, mountPoint, parseOptions(options.value('options'))));
}

function mountFor(image: ByteString, mountPoint: ByteString, given: MountOptions): ComposefsMount {
  const { basedir, digest, upperdir, workdir } = given;
  if (basedir === undefined) throw usageError('No object dirs specified');
  const directories = basedir.split(':') as ByteString[];
  if (directories.includes(byteString(''))) throw refused('Value for basedir option has incorrect format');
  if ((upperdir === undefined) !== (workdir === undefined))
    throw refused('Both workdir and upperdir must be specified if used');
  return {
    image,
    mountPoint,
    directories,
    digest,
    verity: given.verity || digest !== undefined ? 'require' : given.tryverity ? 'try' : undefined,
    readonly: given.readonly,
    upper: upperdir,
    work: workdir,
    idmap: given.idmap,
  };
}

function parseOptions(text: ByteString | undefined): MountOptions {
  const parsed: MountOptions = {};
  if (text === undefined) return parsed;
  for (const [key, value] of splitOptions(text)) {
    const named = VALUE_OPTIONS.find((name) => name === key);
    const flag = FLAG_OPTIONS.find((name) => name === key);
    if (named !== undefined) {
      if (value === undefined) throw refused(`No value specified for ${named} option`);
      parsed[named] = value;
    } else if (flag === 'ro' || flag === 'rw') parsed.readonly = flag === 'ro';
    else if (flag !== undefined) parsed[flag] = true;
    else throw refused(`Unsupported option ${displayByteString(byteString(key))}`);
  }
  return parsed;
}

/** A backslash takes the meaning from the character behind it; in values it is then removed. */
function splitOptions(text: ByteString): [key: string, value: ByteString | undefined][] {
  const words: string[] = [];
  let start = 0;
  for (let at = 0; at <= text.length; at++) {
    if (at < text.length && text[at] !== ',') {
      if (text[at] === '\\') at++;
      continue;
    }
    words.push(text.slice(start, at));
    start = at + 1;
  }
  if (start < text.length) words.push(text.slice(start));
  return words.map((word) => {
    const equals = firstEquals(word);
    if (equals < 0) return [word, undefined];
    return [word.slice(0, equals), byteString(word.slice(equals + 1).replace(/\\([\s\S]?)/g, '$1'))];
  });
}

function firstEquals(word: string): number {
  for (let at = 0; at < word.length; at++) {
    if (word[at] === '\\') at++;
    else if (word[at] === '=') return at;
  }
  return -1;
}

/** What the real tool answers with one line, without its usage. */
function refused(message: string): SealtreeError {
  return new SealtreeError('unsupported', message);
}
