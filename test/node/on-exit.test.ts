import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { onExit, runCleanUps } from '../../src/node/on-exit.ts';

describe('clean-ups', () => {
  it('run in reverse order, all of them, once', () => {
    const ran: string[] = [];
    onExit(() => ran.push('first'));
    onExit(() => {
      ran.push('second');
      throw new Error('fails');
    });
    const forget = onExit(() => ran.push('forgotten'));
    onExit(() => ran.push('last'));
    forget();
    runCleanUps();
    runCleanUps();
    expect(ran).toEqual(['last', 'second', 'first']);
  });

  it('listen for signals only while there is one', async () => {
    const listening = () => process.listenerCount('SIGTERM');
    const before = listening();
    const forget = onExit(() => {});
    expect(listening()).toBe(before + 1);
    forget();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(listening()).toBe(before);
  });
});

describe('a program that ends', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sealtree-on-exit-'));
    const entryPoints = [fileURLToPath(new URL('../../src/node/on-exit.ts', import.meta.url))];
    buildSync({ entryPoints, outfile: join(folder, 'on-exit.mjs'), platform: 'node', format: 'esm' });
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  // A shell reports 130, 143 and 129 for these signals.
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('by %s cleans up and dies by it', async (signal) => {
    const { mark, ended } = start(`console.log('ready'); setInterval(() => {}, 1000);`, signal);
    expect(await ended).toEqual({ status: null, signal });
    expect(readFileSync(mark, 'utf8')).toBe('cleaned');
  });

  it.each([
    ['process.exit(5)', 5],
    ["throw new Error('x')", 1],
    ['process.exitCode = 3', 3],
  ])('with %s cleans up', async (code, status) => {
    const { mark, ended } = start(code);
    expect(await ended).toEqual({ status, signal: null });
    expect(readFileSync(mark, 'utf8')).toBe('cleaned');
  });

  function start(code: string, signal?: NodeJS.Signals) {
    const mark = join(folder, 'mark');
    const script = join(folder, 'program.mjs');
    writeFileSync(mark, '');
    writeFileSync(
      script,
      `import { writeFileSync } from 'node:fs';
      import { onExit } from './on-exit.mjs';
      onExit(() => writeFileSync(${JSON.stringify(mark)}, 'cleaned'));
      ${code}`,
    );
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'ignore'] });
    if (signal !== undefined) child.stdout.once('data', () => child.kill(signal));
    const ended = new Promise((resolve) =>
      child.on('close', (status, by) => resolve({ status, signal: by })),
    );
    return { mark, ended };
  }
});
