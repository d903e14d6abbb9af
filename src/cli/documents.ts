/** Man pages, docs/commands and tables of other documents, made of the verbs' own data: `npm run man`. @module */
import { type ErrorCode, EXIT_STATUS } from '../core/errors.ts';
import { allVerbs } from './help.ts';
import { type Option, optionOf } from './option.ts';
import { helpOptionOf, optionsOf } from './real-tool-options.ts';
import { REFUSED_OPTIONS, REFUSED_VERBS } from './refused.ts';
import type { Tool, Verb } from './verb.ts';
import { callOf, fill, optionText } from './verb-help.ts';

type Verbs = readonly [name: string, { readonly verb: Verb }][];
/** File name to content. */
type Pages = Map<string, string>;

/** `sealtree.1` and one page for every verb. */
export async function manPages(version: string): Promise<Pages> {
  const verbs = await allVerbs();
  const pages: Pages = new Map([['sealtree.1', mainManPage(verbs, version)]]);
  for (const [name, { verb }] of verbs) pages.set(`${pageName(name)}.1`, manPage(name, verb, version));
  return pages;
}

/** `README.md` with a table of all verbs, and one page for each. */
export async function commandPages(): Promise<Pages> {
  const verbs = await allVerbs();
  const pages: Pages = new Map([['README.md', `# Commands\n\n${commandTable(verbs, '')}`]]);
  for (const [name, { verb }] of verbs) pages.set(pageFile(name), commandPage(name, verb));
  return pages;
}

/** Fills what stands between `<!-- NAME -->` and `<!-- end -->` in a document; the rest stays as it is. */
export async function fillMarked(document: string): Promise<string> {
  const verbs = await allVerbs();
  const parts: Readonly<Record<string, () => string>> = {
    commands: () => commandTable(verbs, 'docs/commands/'),
    'refused verbs': refusedVerbTable,
    'refused options': refusedOptionTable,
    statuses: statusTable,
    'tool statuses': () => toolStatusTable(verbs),
  };
  return document.replace(/<!-- ([a-z ]+) -->\n[\s\S]*?<!-- end -->/g, (whole, name: string) => {
    const part = parts[name];
    return part === undefined ? whole : `<!-- ${name} -->\n${part()}<!-- end -->`;
  });
}

/** @param folder where the pages are, seen from the document that the table is for */
function commandTable(verbs: Verbs, folder: string): string {
  const rows = verbs.map(
    ([name, { verb }]) =>
      `| [\`${name}\`](${folder}${pageFile(name)}) | ${escapeCell(verb.summary)} | ${toolText(verb.tool)} |\n`,
  );
  return `| command | does | as |\n|---|---|---|\n${rows.join('')}`;
}

function refusedVerbTable(): string {
  const rows = Object.entries(REFUSED_VERBS).flatMap(([tool, verbs]) =>
    Object.entries(verbs).map(([name, reason]) => `| \`${tool} ${name}\` | ${escapeCell(reason)} |\n`),
  );
  return `| refused | why |\n|---|---|\n${rows.join('')}`;
}

function refusedOptionTable(): string {
  const rows = Object.entries(REFUSED_OPTIONS).flatMap(([called, options]) =>
    Object.entries(options).map(
      ([option, reason]) => `| \`${called}\` | \`${option}\` | ${escapeCell(reason)} |\n`,
    ),
  );
  return `| command | refused | why |\n|---|---|---|\n${rows.join('')}`;
}

function statusTable(): string {
  const rows = Object.entries(EXIT_STATUS).map(
    ([code, status]) => `| ${status} | \`${code}\` | ${STATUS_MEANING[code as ErrorCode]} |\n`,
  );
  return `| status | code | means |\n|---|---|---|\n| 0 | | done; for a verification: yes |\n${rows.join('')}`;
}

const STATUS_MEANING: Readonly<Record<ErrorCode, string>> = {
  internal: 'a fault in sealtree itself; `SEALTREE_DEBUG=1` prints where',
  usage: 'the command line is wrong',
  mismatch: 'a verification ran, and the answer is no',
  malformed: 'an input is not what its format says',
  missing: 'an object, ref, key or file is not there',
  unsupported: 'this host, this build or this version of a format cannot do it',
  io: 'the operating system said no',
};

function toolStatusTable(verbs: Verbs): string {
  const tools = [...new Set(verbs.map(([, { verb }]) => verb.tool))].filter((tool) => tool !== 'sealtree');
  const rows = tools.sort().map((tool) => {
    const names = verbs.filter(([, { verb }]) => verb.tool === tool).map(([name]) => `\`${name}\``);
    return `| \`${tool}\` | ${names.join(' ')} | ${statusText(tool)} |\n`;
  });
  return `| tool | commands | status |\n|---|---|---|\n${rows.join('')}`;
}

function commandPage(name: string, verb: Verb): string {
  const rows = allOptions(verb).map((option) => {
    const description = escapeCell(option.description) + (option.spec.ownOnly ? ' (only as `sealtree`)' : '');
    return `| \`${escapeCell(optionText(option))}\` | ${description} |\n`;
  });
  return [
    `# ${callOf('sealtree', name)}\n\n${verb.summary}.\n`,
    `    ${synopsis(name, verb)}\n`,
    ...(verb.description ?? []).map((paragraph) => `${fill(paragraph, 110)}\n`),
    `| option | does |\n|---|---|\n${rows.join('')}`,
    `Example${verb.examples.length > 1 ? 's' : ''}:\n`,
    `${verb.examples.map((example) => `    ${example}\n`).join('')}`,
    `Exit status: ${statusText(verb.tool)}\n`,
  ].join('\n');
}

function manPage(name: string, verb: Verb, version: string): string {
  const options = allOptions(verb).map((option) => {
    const only = option.spec.ownOnly ? ' Only as sealtree.' : '';
    return `.TP\n\\fB${roff(optionText(option))}\\fR\n${roff(sentence(option.description) + only)}\n`;
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
    case 'dmverity-vhd':
      return '0, 1 for every failure, 2 for a platform that cannot be, or 3 for an unknown command.';
    case 'veritysetup':
      return '0, 1 for wrong parameters and most failures, 2 if data is not what it was, 4 for a wrong device or 5 for a busy one, as `veritysetup`.';
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
  return [...optionsOf(verb, 'sealtree').map(optionOf), helpOptionOf(verb)];
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
