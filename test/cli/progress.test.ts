import { describe, expect, it, vi } from 'vitest';
import type { Output } from '../../src/cli/output.ts';
import { countText, sizeText, startProgress } from '../../src/cli/progress.ts';

function terminal(isTerminal: boolean) {
  const shown: string[] = [];
  const output = { isTerminal, text: (text: string) => void shown.push(text), flush() {} };
  return { shown, output: output as unknown as Output };
}

describe('progress', () => {
  it('is one line of a terminal, shown again at most ten times a second and taken away', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    vi.stubEnv('TERM', 'xterm');
    try {
      const { shown, output } = terminal(true);
      const progress = startProgress(output, 'committing');
      progress.add(1, 10);
      vi.advanceTimersByTime(200);
      progress.add(1233, 2038);
      progress.add(1, 0);
      progress.end();
      progress.end();
      expect(shown).toEqual(['\r\x1b[Kcommitting: 1,234 entries, 2.0 KiB', '\r\x1b[K']);
    } finally {
      vi.useRealTimers();
      vi.unstubAllEnvs();
    }
  });

  it('is silent in a pipe, on a terminal that cannot, and when it is told to be quiet', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      for (const [isTerminal, term, quiet] of [
        [false, 'xterm', false],
        [true, 'dumb', false],
        [true, 'xterm', true],
      ] as const) {
        vi.stubEnv('TERM', term);
        const { shown, output } = terminal(isTerminal);
        const progress = startProgress(output, 'verifying', quiet);
        vi.advanceTimersByTime(200);
        progress.add(1, 1);
        progress.end();
        expect(shown).toEqual([]);
      }
    } finally {
      vi.useRealTimers();
      vi.unstubAllEnvs();
    }
  });

  it('counts and measures in words', () => {
    expect([1, 2, 1_000_000].map((n) => countText(n, 'entry', 'entries'))).toEqual([
      '1 entry',
      '2 entries',
      '1,000,000 entries',
    ]);
    expect([0, 1023, 1024, 1.5 * 2 ** 20, 2 ** 60].map(sizeText)).toEqual([
      '0 bytes',
      '1023 bytes',
      '1.0 KiB',
      '1.5 MiB',
      '1048576.0 TiB',
    ]);
  });
});
