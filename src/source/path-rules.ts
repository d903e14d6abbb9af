/**
 * The files of `ostree commit --statoverride` and `--skip-list`: rules for single paths, each used up by the first
 * path it matches. Formats: ostree-commit(1).
 * @module
 */
import { type ByteString, byteString } from '../core/bytes/byte-string.ts';
import { malformed } from '../core/errors.ts';
import type { ModeChange } from './modifier.ts';

/** What is left of the rules while a tree is walked; paths begin with `/`, the root is `/`. */
export class PathRules {
  readonly #adds = new Map<ByteString, number>();
  readonly #permissions = new Map<ByteString, number>();
  readonly #skipped = new Set<ByteString>();

  /** @param statoverride lines `N PATH` (bits to add) or `=N PATH` (new permissions), N in decimal or 0x hexadecimal */
  addStatoverride(statoverride: ByteString): void {
    for (const line of lines(statoverride)) {
      const space = line.indexOf(' ');
      if (space < 0) throw malformed('Malformed statoverride file (no space found)');
      const path = byteString(line.slice(space + 1));
      if (line.startsWith('=')) this.#permissions.set(path, leadingNumber(line.slice(1)));
      else this.#adds.set(path, leadingNumber(line));
    }
  }

  /** @param skipList a path a line */
  addSkipList(skipList: ByteString): void {
    for (const line of lines(skipList)) this.#skipped.add(line);
  }

  get isEmpty(): boolean {
    return this.#adds.size === 0 && this.#permissions.size === 0 && this.#skipped.size === 0;
  }

  /** Bits that are added are used up; new permissions apply to every tree that has the path. */
  takeModeChange(path: ByteString): ModeChange | undefined {
    const add = this.#adds.get(path);
    if (add !== undefined) {
      this.#adds.delete(path);
      return { add };
    }
    const permissions = this.#permissions.get(path);
    return permissions === undefined ? undefined : { permissions };
  }

  takeSkip(path: ByteString): boolean {
    return this.#skipped.delete(path);
  }

  /** Paths that nothing matched; those of new permissions are not told, as ostree does not. */
  get unmatched(): {
    readonly statoverride: readonly ByteString[];
    readonly skipList: readonly ByteString[];
  } {
    return { statoverride: [...this.#adds.keys()], skipList: [...this.#skipped] };
  }
}

function lines(text: ByteString): ByteString[] {
  return text.split('\n').filter((line) => line !== '') as ByteString[];
}

/** A number as C's strtod finds it at the start of a text, as 32 bits; 0 if there is none. */
function leadingNumber(text: string): number {
  const match = /^\s*([+-]?)(0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)/.exec(text);
  const value = Number(match?.[2] ?? 0);
  return (match?.[1] === '-' ? -value : value) >>> 0;
}
