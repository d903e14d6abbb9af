/** `sealtree completion SHELL`: prints what makes a shell complete sealtree's commands and options. @module */
import { SHELLS } from '../completion.ts';
import { allVerbs } from '../help.ts';
import { optionError, usageError } from '../usage.ts';
import type { Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'sealtree',
  path: ['completion'],
  summary: 'Print the completion script of a shell',
  operands: 'bash|zsh|fish',
  options: [],
  examples: [
    'source <(sealtree completion bash)',
    'sealtree completion zsh > ~/.zfunc/_sealtree',
    'sealtree completion fish > ~/.config/fish/completions/sealtree.fish',
  ],
  async run({ args, stdout }) {
    const [shell, ...rest] = args;
    if (shell === undefined || rest.length > 0) throw usageError('completion needs the name of one shell');
    const script = SHELLS[shell];
    if (script === undefined) throw optionError(`completion of ${shell}: expected bash, zsh or fish`);
    stdout.text(script(await allVerbs()));
  },
};
