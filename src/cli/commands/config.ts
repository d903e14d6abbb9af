/** `sealtree config get|set|unset`: reads and changes a repository's configuration, as ostree-config(1). @module */
import {
  type ByteString,
  byteString,
  byteStringFrom,
  displayByteString,
} from '../../core/bytes/byte-string.ts';
import { parseKeyfile, setKey, unsetKey } from '../../core/conf/keyfile.ts';
import { SealtreeError } from '../../core/errors.ts';
import { writeFileAtomically } from '../../node/atomic-file.ts';
import { joinPath } from '../../node/fs-path.ts';
import { readFileLimited } from '../../node/read-file.ts';
import type { Repo } from '../../repo/repo.ts';
import { parseRepoMode } from '../../repo/repo-mode.ts';
import { writeSettings } from '../../repo/write-settings.ts';
import { openRepository } from '../repository.ts';
import { optionError, usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

/** Bytes. */
const CONFIG_LIMIT = 16 * 1024 * 1024;

export const verb: Verb = {
  tool: 'ostree',
  path: ['config'],
  summary: "Read and change a repository's configuration",
  operands: 'get KEY|set KEY VALUE|unset KEY',
  options: [
    { flags: '--group <group>', description: 'group of KEY, which then is no SECTION.KEY', kind: 'text' },
  ],
  examples: [
    'sealtree config --repo=repo get core.mode',
    'sealtree config --repo=repo set ex-integrity.composefs true',
    'sealtree config --repo=repo unset --group=core min-free-space-percent',
  ],
  description: [
    'KEY is SECTION.KEY, split at the first dot, or with --group the key alone. Comments, order and everything ' +
      'else in the file stay as they are. Setting checks the value; unsetting a key that is not there does nothing.',
  ],
  run(context) {
    const [operation, ...operands] = context.args;
    const repo = openRepository(context);
    if (operation === undefined) throw usageError('OPERATION must be specified');
    if (operands.length > (operation === 'set' ? 2 : 1)) throw usageError('Too many arguments given');
    switch (operation) {
      case 'get': {
        const [group, key] = groupAndKey(context, operands[0], 'KEY must be specified');
        context.stdout.write(byteString(`${repo.config.expect(group, key)}\n`));
        return;
      }
      case 'set':
        set(context, repo, operands);
        return;
      case 'unset':
        unset(repo, groupAndKey(context, operands[0], 'KEY must be specified'));
        return;
      default:
        throw optionError(`Unknown operation ${displayByteString(operation)}`);
    }
  },
};

/** The new configuration is checked before it is written, so that a bad value cannot make the repository unusable. */
function set(context: Context, repo: Repo, [keyOperand, value]: readonly ByteString[]): void {
  const missing = context.options.has('group')
    ? 'GROUP name, KEY and VALUE must be specified'
    : 'KEY and VALUE must be specified';
  const [group, key] = groupAndKey(context, value === undefined ? undefined : keyOperand, missing);
  const text = setKey(configText(repo), group, key, value as ByteString, 'config');
  const config = parseKeyfile(text, 'config');
  parseRepoMode(config.get('core', 'mode') ?? byteString('bare'));
  const version = config.expect('core', 'repo_version');
  if (version !== '1')
    throw new SealtreeError('malformed', `Invalid repository version '${displayByteString(version)}'`);
  writeSettings(config);
  writeConfig(repo, text);
}

function unset(repo: Repo, [group, key]: readonly [ByteString, ByteString]): void {
  const text = unsetKey(configText(repo), group, key, 'config');
  if (text !== undefined) writeConfig(repo, text);
}

function groupAndKey(
  { options }: Context,
  operand: ByteString | undefined,
  missing: string,
): readonly [group: ByteString, key: ByteString] {
  const group = options.value('group');
  if (operand === undefined) {
    const message =
      group === undefined || missing.startsWith('GROUP') ? missing : 'Group name and key must be specified';
    throw optionError(message);
  }
  if (group !== undefined) return [group, operand];
  const dot = operand.indexOf('.');
  if (dot < 0) throw optionError('Key must be of the form "sectionname.keyname"');
  return [byteString(operand.slice(0, dot)), byteString(operand.slice(dot + 1))];
}

function configText(repo: Repo): ByteString {
  return byteStringFrom(readFileLimited(configPath(repo), 'config', CONFIG_LIMIT) ?? new Uint8Array(0));
}

function writeConfig(repo: Repo, text: ByteString): void {
  writeFileAtomically(configPath(repo), text);
}

function configPath(repo: Repo): ByteString {
  return joinPath(repo.path, byteString('config'));
}
