/** Cases of a guest as tests: the guest runs once, each case is a test and a row of the table at the end. @module */
import { beforeAll, expect, it } from 'vitest';
import { requires } from '../requires.ts';
import { type CaseResult, type Guest, type GuestCase, runGuest } from './guest.ts';

export interface BootCase extends GuestCase {
  /** For the table: what is to be seen, in a few words. */
  readonly expected: string;
  /** Fails unless the result is as expected. @returns what was seen, for the table */
  readonly check: (result: CaseResult) => string | undefined;
}

const needs = requires({ root: true, boot: true });

/** @param prepare makes the files of the guest, before it starts */
export function describeGuest(
  title: string,
  cases: readonly BootCase[],
  prepare: () => Promise<Omit<Guest, 'cases'>> | Omit<Guest, 'cases'>,
): void {
  needs.describe(title, () => {
    let results: ReadonlyMap<string, CaseResult> = new Map();
    beforeAll(async () => {
      results = await runGuest({ ...(await prepare()), cases });
    });
    for (const { name, expected, check } of cases) {
      it(name, ({ task }) => {
        const result = results.get(name);
        if (result === undefined) throw new Error('the guest did not run it');
        const row = { expected, seen: seen(result), seconds: result.seconds };
        task.meta.boot = row;
        const found = check(result);
        if (found !== undefined) task.meta.boot = { ...row, seen: found };
      });
    }
  });
}

/** Fails unless the case ended well. */
export function expectOk(result: CaseResult): void {
  expect({ status: result.status, stderr: result.stderr }).toEqual({ status: 0, stderr: '' });
}

function seen({ status, stderr }: CaseResult): string {
  const message = stderr.trim().split('\n').at(-1) ?? '';
  return status === 0 ? 'success' : `${status}: ${message.slice(0, 90)}`;
}
