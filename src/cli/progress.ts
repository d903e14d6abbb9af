/** How far long work has come, as one line on a terminal's standard error; nothing where that is no terminal. @module */
import type { Output } from './output.ts';

export interface Progress {
  /** Counts what was done since the last call. */
  add(entries: number, bytes: number): void;
  /** Takes the line away, so that what is printed next stands alone. */
  end(): void;
}

const INTERVAL_MILLISECONDS = 100;

/**
 * @param doing what is done, as `committing`
 * @param quiet says nothing even on a terminal
 */
export function startProgress(stderr: Output, doing: string, quiet = false): Progress {
  if (quiet || !stderr.isTerminal || process.env.TERM === 'dumb') return { add() {}, end() {} };
  let entries = 0;
  let bytes = 0;
  let shownAt = performance.now();
  let shown = false;
  return {
    add(moreEntries, moreBytes) {
      entries += moreEntries;
      bytes += moreBytes;
      const now = performance.now();
      if (now - shownAt < INTERVAL_MILLISECONDS) return;
      shownAt = now;
      shown = true;
      const size = bytes === 0 ? '' : `, ${sizeText(bytes)}`;
      stderr.text(`\r\x1b[K${doing}: ${countText(entries, 'entry', 'entries')}${size}`);
      stderr.flush();
    },
    end() {
      if (!shown) return;
      shown = false;
      stderr.text('\r\x1b[K');
      stderr.flush();
    },
  };
}

/** `1 entry`, `12,345 entries`. */
export function countText(count: number, one: string, many: string): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`;
}

/** Bytes in binary units with one decimal: `512 bytes`, `1.5 KiB`. */
export function sizeText(bytes: number): string {
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 'bytes';
  while (value >= 1024 && units.length > 0) {
    value /= 1024;
    unit = units.shift() as string;
  }
  return `${unit === 'bytes' ? value : value.toFixed(1)} ${unit}`;
}
