/** Help texts of verbs, made of the verbs' own data. @module */
import { capitalized, type Option, optionOf } from './option.ts';
import { helpOptionOf, optionsOf } from './real-tool-options.ts';
import type { Tool, Verb } from './verb.ts';

const WIDTH = 100;

/** How a verb is called: `sealtree commit`, `ostree commit`, `fsverity digest`. */
export function callOf(program: Tool, name: string): string {
  return program === 'sealtree' || program === 'ostree' ? `${program} ${name}` : name;
}

/** What `--help` of a verb prints. */
export function verbHelp(program: Tool, name: string, verb: Verb): string {
  const examples = verb.examples.map((example) => `  ${example}\n`).join('');
  return [
    `${usageText(program, name, verb)}\n${capitalized(verb.summary)}\n`,
    ...(verb.description ?? []).map((paragraph) => `${fill(paragraph, WIDTH)}\n`),
    optionTable(verb, program),
    examples === '' ? '' : `${verb.examples.length > 1 ? 'Examples' : 'Example'}:\n${examples}`,
  ]
    .filter((part) => part !== '')
    .join('\n');
}

/** What a command line that misses something gets: the help without its examples. */
export function verbUsage(program: Tool, name: string, verb: Verb): string {
  return `${usageText(program, name, verb)}\n${capitalized(verb.summary)}\n\n${optionTable(verb, program)}`;
}

/** `-b, --branch=BRANCH`, as option tables show it. */
export function optionText({ short, long, takes, placeholder }: Option): string {
  const value = takes === 'nothing' ? '' : takes === 'value' ? `=${placeholder}` : ` [${placeholder}]`;
  return `${short === undefined ? '' : `-${short}, `}--${long}${value}`;
}

function usageText(program: Tool, name: string, verb: Verb): string {
  return `Usage:\n  ${[callOf(program, name), '[OPTION…]', verb.operands].filter(Boolean).join(' ')}\n`;
}

function optionTable(verb: Verb, program: Tool): string {
  const options = [helpOptionOf(verb), ...optionsOf(verb, program).map(optionOf)];
  return `Options:\n${table(options.map((option) => [optionText(option), option.description]))}`;
}

export function table(rows: readonly [string, string][]): string {
  const widest = Math.max(...rows.map(([left]) => left.length).filter((length) => length <= 34), 10);
  return rows
    .map(([left, right]) => {
      const text = fill(right, WIDTH, widest + 4);
      return left.length > widest
        ? `  ${left}\n${' '.repeat(widest + 4)}${text}\n`
        : `  ${left.padEnd(widest)}  ${text}\n`;
    })
    .join('');
}

/** Breaks a text at spaces into lines of at most `width` characters; those after the first begin with `indent` spaces. */
export function fill(text: string, width: number, indent = 0): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent + line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines.join(`\n${' '.repeat(indent)}`);
}
