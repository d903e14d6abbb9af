/** `sealtree verify` and what it reports, and damage for it to find. @module */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { goldenRepoPath } from './golden-repo.ts';
import { expectSuccess, type Ran, run, sealtree } from './run.ts';

export interface Report {
  readonly format: string;
  readonly verdict: string;
  readonly valid: boolean;
  readonly protectedBy: string | null;
  readonly checks: readonly { check: string; status: string; message: string }[];
  readonly damage: readonly { object: string; fault: string; paths: readonly string[] }[];
  readonly differences: readonly string[];
  readonly notMountable: string | null;
  readonly boot: {
    readonly refusal: { readonly message: string } | null;
    readonly commit: string | null;
    readonly mode: string | null;
    readonly sealed: boolean;
  } | null;
  readonly plan: readonly { step: string }[] | null;
}

export function verify(...args: string[]): Ran {
  return sealtree(['verify', ...args]);
}

/** What `--json` printed. */
export function report(ran: { readonly stdout: string; readonly stderr: string }): Report {
  expect(ran.stderr).toBe('');
  return JSON.parse(Buffer.from(ran.stdout, 'latin1').toString());
}

export function statuses({ checks }: Report): Record<string, string> {
  return Object.fromEntries(checks.map(({ check, status }) => [check, status]));
}

/** Paths of a repository's objects, sorted. */
export function objectsOf(path: string, extension: string): string[] {
  return (readdirSync(join(path, 'objects'), { recursive: true, encoding: 'utf8' }) as string[])
    .filter((name) => name.endsWith(extension))
    .map((name) => join(path, 'objects', name))
    .sort();
}

/** Changes a bit. @param at offset, from the end if negative */
export function damage(path: string, at = -1): void {
  chmodSync(path, 0o600);
  const data = readFileSync(path);
  const place = at < 0 ? data.length + at : at;
  data[place] = (data[place] as number) ^ 1;
  writeFileSync(path, data);
}

/** The archive repository of a golden tree, below `folder`. */
export function unpackGolden(tree: string, folder: string): string {
  const target = join(folder, `golden-${tree}`);
  if (!existsSync(target)) {
    mkdirSync(target);
    const unpack = ['tar', '-xzf', goldenRepoPath(tree, 'archive'), '-C', target];
    expectSuccess(run(unpack), unpack);
  }
  return join(target, 'archive');
}
