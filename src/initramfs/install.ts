/** Carrying out an install in a root tree: what is not ours is not touched, and what was done is told. @module */
import { type ByteString, byteString, byteStringFrom, bytesOf } from '../core/bytes/byte-string.ts';
import { hexOf } from '../core/bytes/hex.ts';
import { loadPrepareRoot } from '../core/conf/prepare-root.ts';
import { SEALED_PATH } from '../core/conf/sealed.ts';
import { SealtreeError } from '../core/errors.ts';
import { parseBindingKeys } from '../core/sign/binding-keys.ts';
import { opensslHash } from '../node/hash.ts';
import type { RootTree } from '../node/root-tree.ts';
import { nodeSystem } from '../node/system.ts';
import {
  type InstallRequest,
  OPTIONAL_PATHS,
  type PlannedFile,
  PROGRAM_IN_ROOT,
  planInstall,
  type RootFacts,
  type Template,
} from './install-plan.ts';

export interface InstalledFile {
  readonly path: ByteString;
  readonly action: 'written' | 'replaced' | 'unchanged' | 'removed';
}

/** Digests of what earlier installs wrote, in the form of sha256sum(1). */
const RECORD = byteString('/usr/lib/sealtree/installed');
const FILE_LIMIT = 64 * 1024 * 1024;
const TEXT_LIMIT = 1024 * 1024;

/** The program of an earlier install, if there is one. */
export function installedProgram(tree: RootTree): Uint8Array | undefined {
  return tree.read(PROGRAM_IN_ROOT, FILE_LIMIT)?.data;
}

/**
 * Installs into a root tree. Nothing is written before it is certain that everything may be.
 *
 * @returns every file, in the order in which they were looked at
 * @throws SealtreeError `usage` if a file stands in the way that an install did not write; see also `planInstall`
 */
export function install(tree: RootTree, request: InstallRequest, template: Template): InstalledFile[] {
  const record = readRecord(tree);
  const isOurs = (path: ByteString, data: Uint8Array) => record.get(path)?.has(digestOf(data)) === true;
  if (request.sealed === undefined && !request.force && tree.kindOf(SEALED_PATH) !== undefined)
    throw refusal(`${tree.show(SEALED_PATH)}: the tree is sealed: --sealed again, or --force to undo it`);
  const planned = planInstall(request, readFacts(tree, request, isOurs), template);
  const actions = planned.map((file) => {
    const action = actionFor(tree, file, isOurs, request.force);
    return { file, action };
  });
  const gone = OPTIONAL_PATHS.filter((path) => !planned.some((file) => file.path === path)).filter((path) => {
    if (tree.kindOf(path) === undefined) return false;
    const there = tree.kindOf(path) === 'file' ? tree.read(path, FILE_LIMIT) : undefined;
    if (request.force || (there !== undefined && isOurs(path, there.data))) return true;
    throw refusal(`${tree.show(path)}: would have to go, and was not written by an install: see --force`);
  });
  // Both what is there and what will be count as ours until all is done.
  for (const { path, data } of planned) addToRecord(record, path, digestOf(data));
  writeRecord(tree, record);
  for (const path of gone) {
    tree.remove(path);
    record.delete(path);
  }
  for (const { file, action } of actions) {
    if (action !== 'unchanged') tree.write(file.path, file.data, file.mode);
    record.set(file.path, new Set([digestOf(file.data)]));
  }
  writeRecord(tree, record);
  return [
    ...actions.map(({ file: { path }, action }) => ({ path, action })),
    ...gone.map((path) => ({ path, action: 'removed' as const })),
  ];
}

function readFacts(
  tree: RootTree,
  request: InstallRequest,
  isOurs: (path: ByteString, data: Uint8Array) => boolean,
): RootFacts {
  const readFile = (path: ByteString, limit: number) => tree.read(path, limit)?.data;
  const configuration = loadPrepareRoot({ ...nodeSystem, readFile }, byteString(''));
  const data = configuration.path === undefined ? undefined : readFile(configuration.path, TEXT_LIMIT);
  const { keypath } = configuration.config.composefs;
  const keyFile = request.keys.length > 0 ? undefined : readFile(keypath, TEXT_LIMIT);
  return {
    configuration,
    configurationText: byteStringFrom(data ?? new Uint8Array(0)),
    configurationIsOurs:
      configuration.path !== undefined && data !== undefined && isOurs(configuration.path, data),
    keys: keyFile === undefined ? [] : parseBindingKeys(byteStringFrom(keyFile), keypath),
  };
}

function actionFor(
  tree: RootTree,
  { path, data, mode, allowed }: PlannedFile,
  isOurs: (path: ByteString, data: Uint8Array) => boolean,
  force: boolean,
): Exclude<InstalledFile['action'], 'removed'> {
  const kind = tree.kindOf(path);
  if (kind === undefined) return 'written';
  if (kind === 'other') throw refusal(`${tree.show(path)}: is there, and is no file`);
  const there = kind === 'file' ? tree.read(path, FILE_LIMIT) : undefined;
  if (there !== undefined && there.mode === mode && Buffer.compare(there.data, data) === 0)
    return 'unchanged';
  const ours = there !== undefined && (isOurs(path, there.data) || Buffer.compare(there.data, data) === 0);
  if (ours || force || allowed) return 'replaced';
  throw refusal(
    `${tree.show(path)}: is there, differs, and was not written by an install: --force to replace it`,
  );
}

function refusal(message: string): SealtreeError {
  return new SealtreeError('usage', message, { help: 'no' });
}

/** By path, the digests of what an install wrote there; lines that are something else do not count. */
function readRecord(tree: RootTree): Map<ByteString, Set<string>> {
  const record = new Map<ByteString, Set<string>>();
  const data = tree.read(RECORD, TEXT_LIMIT)?.data ?? new Uint8Array(0);
  for (const line of byteStringFrom(data).split('\n')) {
    const match = /^([0-9a-f]{64}) {2}(\/.+)$/.exec(line);
    if (match !== null) addToRecord(record, byteString(match[2] as string), match[1] as string);
  }
  return record;
}

function addToRecord(record: Map<ByteString, Set<string>>, path: ByteString, digest: string): void {
  const digests = record.get(path);
  if (digests === undefined) record.set(path, new Set([digest]));
  else digests.add(digest);
}

function writeRecord(tree: RootTree, record: ReadonlyMap<ByteString, ReadonlySet<string>>): void {
  const lines = [...record.keys()]
    .sort()
    .flatMap((path) => [...(record.get(path) ?? [])].sort().map((digest) => `${digest}  ${path}\n`));
  const data = bytesOf(byteString(lines.join('')));
  const there = tree.read(RECORD, TEXT_LIMIT);
  if (there === undefined || Buffer.compare(there.data, data) !== 0) tree.write(RECORD, data, 0o644);
}

function digestOf(data: Uint8Array): string {
  return hexOf(opensslHash.digest('sha256', data));
}
