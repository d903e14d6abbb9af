/** `sealtree init`: makes an empty repository, as ostree-init(1). @module */
import { byteString } from '../../core/bytes/byte-string.ts';
import { validateCollectionId } from '../../core/ostree/refs.ts';
import { initRepository } from '../../repo/init.ts';
import { Repo } from '../../repo/repo.ts';
import { parseRepoMode } from '../../repo/repo-mode.ts';
import { absolutePath, openRepository } from '../repository.ts';
import type { Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['init'],
  summary: 'Make a new empty repository',
  operands: '',
  options: [
    {
      flags: '--mode <mode>',
      description: 'how objects are kept: bare (the default), bare-user, bare-user-only or archive',
      kind: 'text',
    },
    {
      flags: '--collection-id <id>',
      description: 'reverse domain name that makes the refs of this repository unique in the world',
      kind: 'text',
    },
  ],
  examples: ['sealtree init --repo=repo --mode=archive', 'sealtree init --repo=repo --mode=bare-user'],
  description: [
    'Makes the folder if its parent exists. Where a repository is already, nothing is done and nothing said, ' +
      'whatever its mode.',
  ],
  run(context) {
    const { options } = context;
    const path = options.value('repo');
    const given = path === undefined ? openRepository(context).path : absolutePath(path);
    const mode = parseRepoMode(options.value('mode') ?? byteString('bare'));
    const collectionId = options.value('collection-id');
    if (collectionId !== undefined) validateCollectionId(collectionId);
    initRepository(given, { mode, collectionId });
    Repo.open(given);
  },
};
