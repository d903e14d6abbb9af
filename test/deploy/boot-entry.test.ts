/** Boot entries: the text of one is that of the golden sysroot of ostree 2026.4 (test/vectors/ostree/deploy). */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import {
  bootTries,
  compareEntries,
  entryValue,
  formatEntry,
  newEntry,
  parseEntry,
  withValues,
} from '../../src/deploy/boot-entry.ts';
import { KernelArguments } from '../../src/deploy/kernel-arguments.ts';
import { prettyName } from '../../src/deploy/os-release.ts';

const GOLDEN = byteString(
  'title Golden OS 1 (ostree:0)\nversion 1\noptions root=LABEL=root rw ostree=/ostree/boot.1/golden/ab/0\n' +
    'linux /ostree/golden-ab/vmlinuz-6.12.0-golden\ninitrd /ostree/golden-ab/initramfs-6.12.0-golden.img\n',
);
const NAME = byteString('ostree-1.conf');

describe('a boot entry', () => {
  it('is read and written as ostree does', () => {
    const entry = parseEntry(GOLDEN, NAME);
    expect(entryValue(entry, 'version')).toBe('1');
    expect(formatEntry(entry)).toBe(GOLDEN);
  });

  it('keeps further initrds, and what it does not know behind what it knows', () => {
    const text = byteString('x-b 1\ninitrd /a\ninitrd /b\ntitle T\n# no key\n\n 9 no key\nalone\n');
    expect(formatEntry(parseEntry(text, NAME))).toBe('title T\ninitrd /a\ninitrd /b\nx-b 1\n');
  });

  it('may not hold lines that its values bring', () => {
    const made = (key: string, value: string) =>
      formatEntry(withValues(newEntry(undefined), [[key, byteString(value)]]));
    expect(() => made('title', 'OS\nlinux /evil')).toThrow('boot entry: title holds a control character');
    expect(() => made('a\nb', 'x')).toThrow('holds a control character');
    expect(() => made('title', 'x'.repeat(70_000))).toThrow('boot entry has 70007 bytes');
    expect(() => parseEntry(byteString('title \xff\n'), NAME)).toThrow('Invalid UTF-8');
  });

  it('comes before those of a lower version', () => {
    const of = (version: string) => withValues(newEntry(undefined), [['version', byteString(version)]]);
    const entries = [of('2'), newEntry(undefined), of('10'), of('1')].sort(compareEntries);
    expect(entries.map((entry) => entryValue(entry, 'version'))).toEqual(['10', '2', '1', undefined]);
  });

  it.each([
    ['ostree-1.conf', 0, 0],
    ['ostree-1+3.conf', 3, 0],
    ['ostree-1+2-1.conf', 2, 1],
    ['ostree-1+-1.conf', 0, 0],
  ])('%s has %i tries left and %i made', (name, left, done) => {
    expect(bootTries(byteString(name))).toEqual({ left, done });
  });
});

describe('any text', () => {
  const line = fc.stringMatching(/^[ -~\t]{0,60}$/);

  it('that is read as an entry is written as one that reads the same', () => {
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        const entry = parseEntry(byteString(lines.join('\n')), NAME);
        const again = parseEntry(formatEntry(entry), NAME);
        expect([...again.values].sort()).toEqual([...entry.values].sort());
        expect(again.overlayInitrds).toEqual(entry.overlayInitrds);
      }),
    );
  });

  it('that is split into kernel arguments and joined again stays as it is', () => {
    fc.assert(
      fc.property(line, (text) => {
        const words = KernelArguments.from(byteString(text.replaceAll('\t', ' '))).toText();
        expect(KernelArguments.from(words).toText()).toBe(words);
      }),
    );
  });
});

describe('os-release', () => {
  it.each([
    ['PRETTY_NAME="A B"\nID=a\n', 'A B'],
    ['ID=a\n', 'a'],
    [`PRETTY_NAME='It'\\''s "q" '"a \\$b"\\ z\n`, 'It\'s "q" a $b z'],
    ['PRETTY_NAME="open\nID=a', 'a'],
    ['#PRETTY_NAME=x\nID=\n', ''],
  ])('%j names %j', (text, name) => {
    expect(prettyName(byteString(text))).toBe(name);
  });

  it('has to name something', () => {
    expect(() => prettyName(byteString('NAME=x'))).toThrow('No PRETTY_NAME or ID in /etc/os-release');
  });
});
