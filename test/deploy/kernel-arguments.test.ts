/** Kernel arguments: what is expected is what ostree 2026.4 makes of the same (test/live/admin.test.ts compares). */
import { describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { KernelArguments, splitArguments } from '../../src/deploy/kernel-arguments.ts';

const from = (text: string) => KernelArguments.from(byteString(text));

describe('kernel arguments', () => {
  it.each([
    ['a b=c', ['a', 'b=c']],
    ['  a  b ', ['a', 'b']],
    ['a="b c" d', ['a="b c"', 'd']],
    ['a "b c', ['a', '"b c']],
    ['', []],
  ])('%j is split into %j', (text, words) => {
    expect(splitArguments(byteString(text))).toEqual(words);
  });

  it.each([
    ['a=1 b a=2', 'a=3', 'a=3 b'],
    ['a', 'b=x y', 'a b=x y'],
    ['ostree=/x root=1', 'ostree=/y', 'ostree=/y root=1'],
    ['a=1', 'a', 'a'],
  ])('%j with %j set is %j', (text, word, expected) => {
    const list = from(text);
    list.replace(byteString(word));
    expect(list.toText()).toBe(expected);
  });

  it('appends words, and one of a new key', () => {
    const list = from('console=tty0');
    list.append(byteString('console=ttyS0 quiet'));
    list.appendIfMissing(byteString('quiet=1'));
    list.appendIfMissing(byteString('x=1'));
    expect(list.toText()).toBe('console=tty0 console=ttyS0 quiet x=1');
  });

  it.each([
    ['a=1 b', 'a', 'b'],
    ['a=1 a=2', 'a=2', 'a=1'],
    ['a a=2', 'a', 'a=2'],
    ['b', 'a=1', 'b'],
    ['a=1', 'b a=1', 'a=1'],
  ])('%j without %j is %j', (text, word, expected) => {
    const list = from(text);
    list.deleteIfPresent(byteString(word));
    expect(list.toText()).toBe(expected);
  });

  it.each([
    ['a=1', 'a=2', "No karg 'a=2' found"],
    ['a=1 a=2', 'a', "Multiple values for key 'a' found"],
    ['a=1 a=2', 'a=3', "No karg 'a=3' found"],
    ['a=1', 'a=1 b', "No key 'b' found"],
  ])('%j has no %j to delete', (text, word, message) => {
    expect(() => from(text).deleteIfPresent(byteString(word))).toThrow(message);
  });

  it('refuses what would begin a line of its own, and what no kernel takes', () => {
    expect(() => from('a\nlinux /evil').toText()).toThrow('kernel arguments hold a control character');
    expect(() => from('a'.repeat(20_000)).toText()).toThrow('kernel arguments have 20000 bytes');
  });
});
