/**
 * Completion scripts for bash, zsh and fish, made of the verbs' own data. They are plain lists: completing a word starts no
 * program.
 * @module
 */
import { type Option, optionOf } from './option.ts';
import { helpOptionOf, optionsOf } from './real-tool-options.ts';
import type { Verb } from './verb.ts';

type Verbs = readonly [name: string, { readonly verb: Verb }][];

/** By the shell's name. */
export const SHELLS: Readonly<Record<string, (verbs: Verbs) => string>> = { bash, zsh, fish };

function bash(verbs: Verbs): string {
  const cases = verbs.map(([name, { verb }]) => {
    const options = withHelp(verb);
    const flags = options.flatMap(({ short, long }) =>
      short === undefined ? [`--${long}`] : [`-${short}`, `--${long}`],
    );
    return `    '${name}') options='${flags.join(' ')}' ;;`;
  });
  return `# bash completion for sealtree
_sealtree() {
  local word=\${COMP_WORDS[COMP_CWORD]} verb='' next='' options='' i
  local verbs='${verbs.map(([name]) => name.replace(' ', '/')).join(' ')}'
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in -*) continue ;; esac
    next=\${verb:+$verb/}\${COMP_WORDS[i]}
    case " $verbs " in
      *" $next "* | *" $next/"*) verb=$next ;;
      *) break ;;
    esac
  done
  case \${verb//\\// } in
${cases.join('\n')}
    *)
      local known rest
      for known in $verbs; do
        rest=\${known#"\${verb:+$verb/}"}
        [ "$rest" = "$known" ] && [ -n "$verb" ] || options+=" \${rest%%/*}"
      done
      ;;
  esac
  if [[ $options == -* && $word != -* ]]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
    compopt -o filenames
  else
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
  fi
}
complete -F _sealtree sealtree
`;
}

function zsh(verbs: Verbs): string {
  const groups = [...new Set(verbs.filter(([name]) => name.includes(' ')).map(([name]) => firstWord(name)))];
  const cases = verbs.map(([name, { verb }]) => {
    const options = withHelp(verb).map((option) => `      ${zshOption(option)}`);
    return `    '${name}') _arguments -s \\\n${options.join(' \\\n')} \\\n      '*:file:_files' ;;`;
  });
  return `#compdef sealtree
_sealtree() {
  local verb=\${words[2]} skip=2
  case $verb in
    ${groups.join(' | ')})
      if ((CURRENT == 3)); then
        _values command $(_sealtree_after "$verb")
        return
      fi
      verb="$verb \${words[3]}"
      skip=3
      ;;
  esac
  if ((CURRENT == 2)); then
    local -a verbs
    verbs=(
${topLevel(verbs)
  .map(([word, summary]) => `      ${quoted(`${word}:${summary}`)}`)
  .join('\n')}
    )
    _describe command verbs
    return
  fi
  words=("\${words[1]}" "\${(@)words[$((skip + 1)),-1]}")
  ((CURRENT -= skip - 1))
  case $verb in
${cases.join('\n')}
    *) _files ;;
  esac
}
_sealtree_after() {
  case $1 in
${groups.map((group) => `    ${group}) echo ${wordsAfter(verbs, group).join(' ')} ;;`).join('\n')}
  esac
}
if [ "\${funcstack[1]}" = _sealtree ]; then _sealtree "$@"; else compdef _sealtree sealtree; fi
`;
}

function zshOption({ short, long, takes, description }: Option): string {
  const text = `[${description.replace(/[[\]\\:]/g, '\\$&')}]`;
  const value = takes === 'nothing' ? '' : takes === 'value' ? ':value:_files' : '::value:_files';
  const equals = takes === 'nothing' ? '' : takes === 'value' ? '=' : '=-';
  if (short === undefined) return quoted(`*--${long}${equals}${text}${value}`);
  const plus = takes === 'nothing' ? '' : '+';
  return `'*'{-${short}${plus},--${long}${equals}}${quoted(`${text}${value}`)}`;
}

function fish(verbs: Verbs): string {
  const lines = ['# fish completion for sealtree', 'complete -c sealtree -n __fish_use_subcommand -f'];
  for (const [word, summary] of topLevel(verbs)) {
    lines.push(`complete -c sealtree -n __fish_use_subcommand -a ${word} -d ${quoted(summary)}`);
  }
  for (const [name, { verb }] of verbs) {
    const [first = '', second] = name.split(' ');
    const seen = [first, second]
      .filter((word) => word !== undefined)
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join('; and ');
    if (second !== undefined) {
      const others = wordsAfter(verbs, first).join(' ');
      const condition = `__fish_seen_subcommand_from ${first}; and not __fish_seen_subcommand_from ${others}`;
      lines.push(`complete -c sealtree -n ${quoted(condition)} -f -a ${second} -d ${quoted(verb.summary)}`);
    }
    for (const { short, long, takes, description } of withHelp(verb)) {
      const flags = `${short === undefined ? '' : ` -s ${short}`} -l ${long}${takes === 'value' ? ' -r' : ''}`;
      lines.push(`complete -c sealtree -n ${quoted(seen)}${flags} -d ${quoted(description)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The first words of all verbs, each with a summary. */
function topLevel(verbs: Verbs): [string, string][] {
  const words = new Map<string, string>();
  for (const [name, { verb }] of verbs) {
    const first = firstWord(name);
    words.set(first, name === first ? verb.summary : `${first} ${wordsAfter(verbs, first).join(', ')}`);
  }
  return [...words];
}

function wordsAfter(verbs: Verbs, first: string): string[] {
  return verbs.filter(([name]) => name.startsWith(`${first} `)).map(([name]) => name.slice(first.length + 1));
}

function firstWord(name: string): string {
  return name.replace(/ .*/, '');
}

function withHelp(verb: Verb): Option[] {
  return [...optionsOf(verb, 'sealtree').map(optionOf), helpOptionOf(verb)];
}

/** In single quotes, which bash, zsh and fish read alike if there is no backslash in them. */
function quoted(text: string): string {
  return `'${text.replace(/'/g, `'"'"'`)}'`;
}
