/** `sealtree help [COMMAND]`: what `--help` of the command prints. @module */
import { displayByteString } from '../../core/bytes/byte-string.ts';
import { findVerb } from '../find-verb.ts';
import { programHelp } from '../help.ts';
import { toolNamed } from '../tool-names.ts';
import { optionError } from '../usage.ts';
import type { Verb } from '../verb.ts';
import { verbHelp } from '../verb-help.ts';

export const verb: Verb = {
  tool: 'sealtree',
  path: ['help'],
  summary: 'Tell what a command does and which options it takes',
  operands: '[COMMAND]',
  options: [],
  examples: ['sealtree help commit', 'sealtree help keys transient', 'sealtree help fsverity digest'],
  async run({ args, stdout }) {
    const program = toolNamed(args[0] ?? 'sealtree');
    if (args.length <= 1 && program !== undefined) {
      stdout.text(await programHelp(program));
      return;
    }
    const found = await findVerb('sealtree', args);
    if (found.verb === undefined && found.wanted instanceof Error) throw found.wanted;
    if (found.verb === undefined || found.words.length > 0) {
      throw optionError(`unknown command '${args.map(displayByteString).join(' ')}'`);
    }
    stdout.text(verbHelp(found.program, found.name, found.verb));
  },
};
