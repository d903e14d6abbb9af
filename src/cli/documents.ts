/** Man pages and docs/commands, made of the verbs' own data. @module */
import { EXIT_STATUS } from '../core/errors.ts';
import { callOf, optionText } from './help.ts';
import { type Option, optionOf } from './option.ts';
import { optionsOf } from './program.ts';
import type { Tool, Verb } from './verb.ts';

type Verbs = readonly [name: string, { readonly verb: Verb }][];
type Pages = Map<string, string>;

const HELP: Option = optionOf({ flags: '-h, --help', description: 'show this help' });

/** File name to content: `sealtree.1` and one page for every verb. */
export function manPages(verbs: Verbs, version: string): Pages {
  const pages: Pages = new Map([['sealtree.1', mainManPage(verbs, version)]]);
  for (const [name, { verb }] of verbs) pages.set(`${pageName(name)}.1`, manPage(name, verb, version));
  return pages;
}

/** File name to content: `README.md` with a table of all verbs, and one page for each. */
export function commandPages(verbs: Verbs): Pages {
  const pages: Pages = new Map([['README.md', `# Commands\n\n${commandTable(verbs, (file) => file)}`]]);
  for (const [name, { verb }] of verbs) pages.set(pageFile(name), commandPage(name, verb));
  return pages;
}

/** The verbs as a Markdown table; `address` says where a page is. */
export function commandTable(verbs: Verbs, address: (file: string) => string): string {
  const rows = verbs.map(
    ([name, { verb }]) =>
      `| [\`${callOf('sealtree', name).replace(/^sealtree /, '')}\`](${address(pageFile(name))}) | ${escapeCell(verb.summary)} | ${toolText(verb.tool)} |\n`,
  );
  return `| command | does | as |\n|---|---|---|\n${rows.join('')}`;
}

function commandPage(name: string, verb: Verb): string {
  const rows = allOptions(verb).map((option) => {
    const description =
      escapeCell(option.spec.description) + (option.spec.ownOnly ? ' (only as `sealtree`)' : '');
    return `| \`${escapeCell(optionText(option))}\` | ${description} |\n`;
  });
  return [
    `# ${callOf('sealtree', name)}\n\n${verb.summary}.\n`,
    `    ${synopsis(name, verb)}\n`,
    ...(verb.description ?? []).map((paragraph) => `${paragraph}\n`),
    `| option | does |\n|---|---|\n${rows.join('')}`,
    `Example${verb.examples.length > 1 ? 's' : ''}:\n`,
    `${verb.examples.map((example) => `    ${example}\n`).join('')}`,
    `Exit status: ${statusText(verb.tool)}\n`,
  ].join('\n');
}

function manPage(name: string, verb: Verb, version: string): string {
  const options = allOptions(verb).map((option) => {
    const only = option.spec.ownOnly ? ' Only as sealtree.' : '';
    return `.TP\n\\fB${roff(optionText(option))}\\fR\n${roff(sentence(option.spec.description) + only)}\n`;
  });
  const description = [sentence(verb.summary), ...(verb.description ?? [])].map((text) => `${roff(text)}\n`);
  return [
    head(pageName(name), version),
    `.SH NAME\n${roff(pageName(name))} \\- ${roff(verb.summary[0]?.toLowerCase() + verb.summary.slice(1))}\n`,
    `.SH SYNOPSIS\n\\fB${roff(callOf('sealtree', name))}\\fR ${roff(synopsis(name, verb).slice(callOf('sealtree', name).length + 1))}\n`,
    `.SH DESCRIPTION\n${description.join('.PP\n')}`,
    `.SH OPTIONS\n${options.join('')}`,
    `.SH EXAMPLES\n${verb.examples.map((example) => `.EX\n${roff(example)}\n.EE\n`).join('.PP\n')}`,
    `.SH EXIT STATUS\n${roff(statusText(verb.tool).replaceAll('`', ''))}\n`,
    `.SH SEE ALSO\n\\fBsealtree\\fR(1)\n`,
  ].join('');
}

function mainManPage(verbs: Verbs, version: string): string {
  const commands = verbs.map(
    ([name, { verb }]) => `.TP\n\\fB${roff(callOf('sealtree', name))}\\fR\n${roff(sentence(verb.summary))}\n`,
  );
  const statuses = Object.entries(EXIT_STATUS).map(([code, status]) => `.TP\n${status}\n${roff(code)}\n`);
  return [
    head('sealtree', version),
    `.SH NAME\nsealtree \\- commit, seal and verify image\\-based Linux trees\n`,
    `.SH SYNOPSIS\n\\fBsealtree\\fR COMMAND [OPTION...]\n`,
    `.SH COMMANDS\n${commands.join('')}`,
    `.SH EXIT STATUS\nCommands that a real tool has exit as that tool does, the others with\n${statuses.join('')}`,
    `.SH SEE ALSO\n${verbs.map(([name]) => `\\fB${roff(pageName(name))}\\fR(1)`).join(',\n')}\n`,
  ].join('');
}

function head(title: string, version: string): string {
  return `.TH ${roff(title).toUpperCase()} 1 "" "sealtree ${version}" "sealtree"\n`;
}

/** How the tool of a verb ends, in one sentence each for success and failure. */
function statusText(tool: Tool): string {
  switch (tool) {
    case 'ostree':
    case 'mkcomposefs':
    case 'composefs-info':
    case 'mount.composefs':
      return `0, or 1 for every failure, as \`${tool}\`.`;
    case 'fsverity':
      return '0, 1 for a failure, or 2 for a wrong command line, as `fsverity`.';
    case 'sealtree':
      return `0, or one of ${Object.entries(EXIT_STATUS)
        .map(([code, status]) => `${status} ${code}`)
        .join(', ')}.`;
  }
}

function synopsis(name: string, verb: Verb): string {
  return [callOf('sealtree', name), '[OPTION…]', verb.operands].filter((part) => part !== '').join(' ');
}

function allOptions(verb: Verb): Option[] {
  return [...optionsOf(verb, 'sealtree').map(optionOf), HELP];
}

function pageName(name: string): string {
  return `sealtree-${name.replaceAll(' ', '-')}`;
}

function pageFile(name: string): string {
  return `${name.replaceAll(' ', '-')}.md`;
}

function toolText(tool: Tool): string {
  return tool === 'sealtree' ? "sealtree's own" : `\`${tool}\``;
}

function sentence(text: string): string {
  return `${text[0]?.toUpperCase()}${text.slice(1)}${/[.!?)]$/.test(text) ? '' : '.'}`;
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** Text as roff takes it literally, also at the beginning of a line. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('"', '\\(dq')
    .replace(/^\./gm, '\\&.');
}
