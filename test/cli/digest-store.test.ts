/** mkcomposefs with a digest store, interrupted. @module */
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sealtreeOk, startSealtree } from '../run.ts';
import { pattern, removeDirectory, scratchDirectory } from '../trees.ts';

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('store-cli');
  mkdirSync(`${scratch}/tree`);
  for (let i = 0; i < 60; i++) writeFileSync(`${scratch}/tree/${i}`, pattern(1_000_000, i));
});
afterAll(() => removeDirectory(scratch));

it.each(['SIGINT', 'SIGTERM'] as const)('%s leaves no temporary file in the store', async (signal) => {
  const store = `${scratch}/${signal}`;
  const call = [
    'mkcomposefs',
    '--threads=3',
    `--digest-store=${store}`,
    '--print-digest-only',
    `${scratch}/tree`,
  ];
  const child = startSealtree(call);
  const exit = once(child, 'exit');
  while (!existsSync(store) && child.exitCode === null) await setTimeout(1);
  child.kill(signal);
  const [status, by] = await exit;
  expect([status, by]).toEqual([null, signal]);
  expect(readdirSync(store).filter((name) => name.startsWith('.'))).toEqual([]);
  sealtreeOk(call);
  expect(
    readdirSync(store, { recursive: true, withFileTypes: true }).filter((at) => at.isFile()),
  ).toHaveLength(60);
});
