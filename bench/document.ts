/** Brings what was measured into docs/performance.md, between its marks, and the graph beside it. @module */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawGrowth } from './graph.ts';
import type { Curve } from './growth.ts';

const START = '<!-- measured -->\n';
const END = '<!-- /measured -->';
const GRAPH = 'performance-growth.svg';

/** @param root the project's folder @throws Error if the document has lost its marks */
export function writeDocument(root: string, report: string, curves: readonly Curve[]): void {
  const path = join(root, 'docs/performance.md');
  const text = readFileSync(path, 'utf8');
  const [start, end] = [text.indexOf(START), text.indexOf(END)];
  if (start < 0 || end < start) throw new Error(`${path} has no place for the figures`);
  const graph = curves.some(({ points }) => points.length > 1);
  const picture = graph ? `\n![Time and memory of an entry, by the number of entries](${GRAPH})\n` : '';
  if (graph) writeFileSync(join(root, 'docs', GRAPH), drawGrowth(curves));
  writeFileSync(path, `${text.slice(0, start)}${START}${report}${picture}${text.slice(end)}`);
}

/**
 * What is noted on goals that are missed: bench/notes.md, in which a heading of the second level names the work of a row's
 * id and what follows it is the note.
 */
export function readNotes(root: string): Map<string, string> {
  const [, ...sections] = readFileSync(join(root, 'bench/notes.md'), 'utf8').split(/^## /m);
  return new Map(
    sections.map((section) => {
      const end = section.indexOf('\n');
      return [section.slice(0, end).trim(), section.slice(end).trim().replaceAll('\n', '\n  ')];
    }),
  );
}
