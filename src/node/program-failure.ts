/** What a program that failed said, in one line. @module */

interface Failed {
  readonly stdout?: unknown;
  readonly stderr?: unknown;
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly code?: string | undefined;
}

/** The last line of its messages, or how it ended. */
export function failureOf({ stdout, stderr, exitCode, signal, code }: Failed): string {
  if (code === 'ENOENT') return 'No such file or directory';
  for (const text of [stderr, stdout]) {
    const line = typeof text === 'string' ? text.trim().split('\n').at(-1) : undefined;
    if (line !== undefined && line !== '') return line;
  }
  return signal === undefined ? `exit status ${exitCode ?? code ?? 'unknown'}` : `ended by ${signal}`;
}
