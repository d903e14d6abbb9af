/** Sizes for people, in the words of g_format_size: powers of 1000, and from there on a no-break space. @module */

const UNITS = ['kB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/** `1 byte`, `999 bytes`, `1.0 kB`, `5.3 MB`. */
export function formatSize(size: number | bigint): string {
  const bytes = Number(size);
  if (bytes < 1000) return bytes === 1 ? '1 byte' : `${bytes} bytes`;
  const power = Math.min(UNITS.length, Math.floor(Math.log10(bytes) / 3 + 1e-12));
  return `${(bytes / 1000 ** power).toFixed(1)}\u00a0${UNITS[power - 1]}`;
}
