/** `ostree refs`: lists, makes and removes names of commits. @module */
import { closeSync, constants, openSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { SealtreeError } from '../../core/errors.ts';
import { inDictOrder } from '../../core/ostree/dict-order.ts';
import { parseRefspec, validateCollectionId, validateRef } from '../../core/ostree/refs.ts';
import { fsPath, joinPath } from '../../node/fs-path.ts';
import { ioError, isErrno } from '../../node/io-error.ts';
import { makeDirectories } from '../../node/make-directories.ts';
import { findRev, listCollectionRefs, listRefs } from '../../repo/refs.ts';
import { type RefWriteOptions, writeAlias, writeCollectionRef, writeRefs } from '../../repo/refs-writer.ts';
import type { Repo } from '../../repo/repo.ts';
import { writeSettings } from '../../repo/write-settings.ts';
import { openRepository } from '../repository.ts';
import { optionError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['refs'],
  summary: 'List, make and delete refs',
  operands: '[PREFIX]',
  options: [
    { flags: '--delete', description: 'Delete the refs that begin with PREFIX' },
    { flags: '--list', description: 'Print refs whole, with the PREFIX' },
    { flags: '-r, --revision', description: 'Print the commit that each ref leads to' },
    {
      flags: '-A, --alias',
      description: 'List refs that stand for other refs; with --create make one',
    },
    {
      flags: '--create <newref>',
      description: 'Make this ref, leading to the commit that PREFIX names',
      kind: 'text',
    },
    { flags: '-c, --collections', description: 'Print the collections that refs belong to' },
    { flags: '--force', description: 'With --create, change a ref that is there' },
  ],
  examples: ['sealtree refs --repo=repo', 'sealtree refs --repo=repo --create=os/stable os/testing'],
  run,
};

function run(context: Context): void {
  const { args, options } = context;
  const repo = openRepository(context);
  const create = options.value('create');
  if (create !== undefined && args.length > 1) {
    throw optionError('You must specify only 1 existing ref when creating a new ref');
  }
  if (args.length === 0 && options.has('delete')) {
    throw optionError('At least one PREFIX is required when deleting refs');
  }
  if (args.length === 0 && create !== undefined) {
    throw optionError('You must specify a revision when creating a new ref');
  }
  for (const prefix of args.length === 0 ? [undefined] : args) {
    const perform = options.has('collections') ? refsOfCollections : refs;
    perform(context, repo, prefix, create);
  }
}

function refs(
  { options, stdout }: Context,
  repo: Repo,
  prefix: ByteString | undefined,
  create: ByteString | undefined,
): void {
  const aliases = options.has('alias');
  if (options.has('delete')) {
    deleteRefs(repo, listRefs(repo, { prefix, keepPrefix: true, aliases }));
  } else if (create !== undefined) {
    createRef(repo, create, prefix as ByteString, { aliases, force: options.has('force') });
  } else {
    const keepPrefix = options.has('list') || aliases;
    for (const [ref, value] of listRefs(repo, { prefix, keepPrefix, aliases })) {
      const suffix = aliases ? ` -> ${value}` : options.has('revision') ? `\t${value}` : '';
      stdout.write(byteString(`${ref}${suffix}\n`));
    }
  }
}

function createRef(
  repo: Repo,
  create: ByteString,
  rev: ByteString,
  { aliases, force }: { aliases: boolean; force: boolean },
): void {
  const replacing = aliases && listRefs(repo, { keepPrefix: true, aliases: true }).has(create);
  if (!replacing) requireFree(repo, create, force);
  const { remote, ref } = parseRefspec(create);
  if (!aliases) {
    const checksum = repo.resolveRev(rev);
    writing(repo, (options) => writeRefs(repo, new Map([[create, checksum]]), options));
    return;
  }
  if (remote !== undefined) {
    throw optionError(`Cannot create alias to remote ref: ${displayByteString(remote)}`);
  }
  if (!listRefs(repo).has(rev)) {
    throw new SealtreeError('missing', `Cannot create alias to non-existent ref: ${displayByteString(rev)}`);
  }
  writing(repo, (options) => writeAlias(repo, ref, rev, options));
}

function requireFree(repo: Repo, create: ByteString, force: boolean): void {
  let found: string | undefined;
  try {
    found = findRev(repo, create, { localOnly: true });
  } catch (error) {
    // A folder: whether the ref may stand in its place is seen when it is written.
    if (!isErrno(error, 'EISDIR')) throw error;
  }
  if (found === undefined || force) return;
  throw optionError(`--create specified but ref ${displayByteString(create)} already exists`);
}

function deleteRefs(repo: Repo, found: ReadonlyMap<ByteString, ByteString>): void {
  const aliases = listRefs(repo, { keepPrefix: true, aliases: true });
  for (const [refspec] of inDictOrder([...found])) {
    const { ref } = parseRefspec(refspec);
    for (const [alias, target] of aliases) {
      if (target !== ref) continue;
      const message = `Ref '${displayByteString(ref)}' has an active alias: '${displayByteString(alias)}'`;
      throw new SealtreeError('mismatch', message);
    }
    writing(repo, (options) => writeRefs(repo, new Map([[refspec, undefined]]), options));
  }
}

function refsOfCollections(
  { options, stdout }: Context,
  repo: Repo,
  prefix: ByteString | undefined,
  create: ByteString | undefined,
): void {
  if (create !== undefined) {
    createCollectionRef(repo, create, prefix as ByteString, options.has('force'));
    return;
  }
  for (const { collection, ref, checksum } of listCollectionRefs(repo, prefix)) {
    if (options.has('delete')) {
      writing(repo, (write) => writeCollectionRef(repo, collection, ref, undefined, write));
    } else {
      const suffix = options.has('revision') ? `\t${checksum}` : '';
      stdout.write(byteString(`(${collection}, ${ref})${suffix}\n`));
    }
  }
}

/** A collection's ref is named as if the collection were a remote: `org.example.Os:main`. */
function createCollectionRef(repo: Repo, create: ByteString, rev: ByteString, force: boolean): void {
  requireFree(repo, create, force);
  const checksum = repo.resolveRev(rev);
  const colon = create.indexOf(':');
  const collection = byteString(colon < 0 ? create : create.slice(0, colon));
  const ref = byteString(colon < 0 ? '' : create.slice(colon + 1));
  validateCollectionId(collection);
  validateRef(ref);
  writing(repo, (write) => writeCollectionRef(repo, collection, ref, checksum, write));
}

/** Gives a writer of refs a folder for its temporary files. */
function writing(repo: Repo, write: (options: RefWriteOptions) => void): void {
  const path = joinPath(repo.path, byteString('tmp'));
  let temporary: number;
  try {
    makeDirectories(path, 0o775);
    temporary = openSync(fsPath(path), constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    throw ioError('opendir(tmp)', error);
  }
  try {
    write({ temporary, sync: writeSettings(repo.config).fsync });
  } finally {
    closeSync(temporary);
  }
}
