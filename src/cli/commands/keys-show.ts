/** `sealtree keys show`: the public keys of key files of either kind. @module */
import { readKeyFile } from '../key-file.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'sealtree',
  path: ['keys', 'show'],
  summary: 'print the public keys in key files',
  operands: 'FILE…',
  options: [{ flags: '--json', description: 'print the keys as JSON' }],
  examples: ['sealtree keys show build.public', 'sealtree keys show --json build.secret'],
  description: [
    'One line a key: the public key in hexadecimal, as `sign --verify` names it, in base64, as it stands in key files, whether the file has the public or the secret key, and the file. Nothing of a secret key is printed but its public half.',
  ],
  run,
};

function run({ args, options, stdout }: Context): void {
  if (args.length === 0) throw usageError('keys show needs a key file');
  const keys = args.flatMap(readKeyFile);
  if (options.has('json')) {
    stdout.line(JSON.stringify(keys.map(({ publicKey: _, ...shown }) => shown)));
    return;
  }
  for (const { hex, base64, kind, file } of keys) stdout.line(`${hex}  ${base64}  ${kind}  ${file}`);
}
