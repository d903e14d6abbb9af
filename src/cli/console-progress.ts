/**
 * Progress as the real ostree prints it: one line that is redrawn where standard output is a terminal, and elsewhere a
 * line a second.
 * @module
 */
import type { Output } from './output.ts';

/** Columns of a terminal of which nothing is known. */
const DEFAULT_COLUMNS = 80;
const BAR_COLUMNS = 25;
const SAVE_CURSOR = '\x1b7';
const RESTORE_CURSOR = '\x1b8';

export class ConsoleProgress {
  readonly #stdout: Output;
  readonly #interval: number;
  readonly #isTerminal: boolean;
  #shownAt = Number.NEGATIVE_INFINITY;

  constructor(stdout: Output) {
    this.#stdout = stdout;
    this.#isTerminal = stdout.isTerminal;
    this.#interval = this.#isTerminal ? 200 : 1000;
    if (this.#isTerminal) stdout.text(SAVE_CURSOR);
  }

  /** `TEXT (5/10) 50%`. */
  items(text: string, current: number, total: number): void {
    const percentage = current === total ? 100 : Math.floor((current / total) * 100);
    this.#show(`${text} (${current}/${total})`, percentage);
  }

  /** Leaves the line that was redrawn. */
  end(): void {
    if (this.#isTerminal) this.#stdout.text('\n');
  }

  #show(text: string, percentage: number): void {
    const now = performance.now();
    if (percentage !== 100 && now - this.#shownAt < this.#interval) return;
    this.#shownAt = now;
    this.#stdout.text(this.#isTerminal ? RESTORE_CURSOR + bar(text, percentage) : `${text} ${percentage}%\n`);
    this.#stdout.flush();
  }
}

function bar(text: string, percentage: number): string {
  const columns = process.stdout.columns ?? DEFAULT_COLUMNS;
  const shown = text.slice(0, Math.max(0, columns - BAR_COLUMNS - 1));
  const inner = Math.min(BAR_COLUMNS, columns - shown.length - 1) - '[] 100%'.length;
  if (inner < 1) return shown;
  return `${shown} [${'='.repeat(Math.floor(inner * (percentage / 100))).padEnd(inner)}] ${String(percentage).padStart(3)}%`;
}
