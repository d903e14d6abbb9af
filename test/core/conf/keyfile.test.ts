import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteString, utf8ByteString } from '../../../src/core/bytes/byte-string.ts';
import { type Keyfile, parseKeyfile, setKey, unsetKey } from '../../../src/core/conf/keyfile.ts';

const parse = (text: string) => parseKeyfile(byteString(text), 'file');
const set = (text: string, group: string, key: string, value: string) =>
  setKey(byteString(text), byteString(group), byteString(key), byteString(value), 'file');
const unset = (text: string, group: string, key: string) =>
  unsetKey(byteString(text), byteString(group), byteString(key), 'file');

// Expected values: GLib 2.90, g_key_file_load_from_data and the getters on the same text in the C locale.
describe('parseKeyfile', () => {
  it('keeps values as they are: comment signs, quotes, dots and blanks at the end', () => {
    const file = parse(
      '[g]\n a = /etc/a#b ; c  \nb="quoted"\nc=x;y;z;\nd=true\n__proto__=p\ne[]=list\nf.g=1\n[a.b]\nc=2\n[__proto__]\nx=1\n',
    );
    expect(file.groups).toEqual(['g', 'a.b', '__proto__']);
    expect(file.keys('g')).toEqual(['a', 'b', 'c', 'd', '__proto__', 'e[]', 'f.g']);
    expect(file.keys('g').map((key) => file.value('g', key))).toEqual([
      '/etc/a#b ; c  ',
      '"quoted"',
      'x;y;z;',
      'true',
      'p',
      'list',
      '1',
    ]);
    expect(file.get('a.b', 'c')).toBe('2');
    expect(file.get('__proto__', 'x')).toBe('1');
    expect(file.get('a', 'b')).toBeUndefined();
    expect(file.has('constructor')).toBe(false);
    expect(file.value('g', 'constructor')).toBeUndefined();
  });

  it('takes the last of two keys, and two groups of one name as one', () => {
    const file = parse('[g]\na=1\nb=1\na=2\n[h]\n[g]\nb=3\nc=4\n');
    expect(file.groups).toEqual(['g', 'h']);
    expect(file.keys('g')).toEqual(['a', 'b', 'c']);
    expect([file.get('g', 'a'), file.get('g', 'b'), file.get('g', 'c')]).toEqual(['2', '3', '4']);
  });

  it('does not confuse a dot in the name of a group with an escaped one', () => {
    const file = parse('[a\\.b]\nx=1\n[a.b]\nx=2\n');
    expect([file.get('a\\.b', 'x'), file.get('a.b', 'x')]).toEqual(['1', '2']);
  });

  it('takes comments, empty lines, line ends of DOS and a last line without an end', () => {
    expect(parse('# a\r\n\r\n[g]\r\n  # b\r\na=1').get('g', 'a')).toBe('1');
    expect(parse('').groups).toEqual([]);
  });

  it('passes over translations, as in the C locale', () => {
    expect(parse('[g]\nname[de]=x\nname=y\n').keys('g')).toEqual(['name']);
  });

  it.each([
    ['a=b\n', 1, 'Key file does not start with a group'],
    ['[g\n', 1, 'Key file contains line “[g” which is not a key-value pair, group, or comment'],
    ['[g]x\n', 1, 'Key file contains line “[g]x” which is not a key-value pair, group, or comment'],
    [
      '# c\n[g] \nnokey\n',
      3,
      'Key file contains line “nokey” which is not a key-value pair, group, or comment',
    ],
    ['[g]\na', 2, 'Key file contains line “a” which is not a key-value pair, group, or comment'],
    ['[g]\n =x\n', 2, 'Key file contains line “ =x” which is not a key-value pair, group, or comment'],
    ['[]\n', 1, 'Invalid group name: '],
    ['[g\t]\n', 1, 'Invalid group name: g\\x09'],
    ['[g[x]\n', 1, 'Invalid group name: g[x'],
    ['[g]\na[b=x\n', 2, 'Invalid key name: a[b'],
    ['[g]\nEncoding=latin1\n', 2, 'Key file contains unsupported encoding “latin1”'],
    ['[g]\na=b\0c\n', 2, 'Key file contains a NUL byte'],
  ])('refuses %j at its line', (text, line, message) => {
    expect(() => parse(text)).toThrow(`file: line ${line}: ${message}`);
  });

  it('reads strings, booleans and numbers as GKeyFile does', () => {
    const file = parse(
      '[g]\ns=a\\sb\\n\\t\\\\\nbad=\\q\ncut=x\\\nraw=\xff\nt=true  \none=1\nf=false\nyes=yes\nT=TRUE\ni=12 x\nn=-3\nbig=2147483648\nhex=0x10\n',
    );
    expect(file.get('g', 's')).toBe('a b\n\t\\');
    const uninterpretable = 'which has a value that cannot be interpreted.';
    expect(() => file.get('g', 'bad')).toThrow(uninterpretable);
    expect(() => file.get('g', 'cut')).toThrow(uninterpretable);
    expect(() => file.get('g', 'raw')).toThrow(
      'Key file contains key “raw” with value “\\xff” which is not UTF-8',
    );
    expect(['t', 'one', 'f'].map((key) => file.boolean('g', key))).toEqual([true, true, false]);
    for (const key of ['yes', 'T', 'i']) expect(() => file.boolean('g', key)).toThrow(uninterpretable);
    expect(['i', 'n', 'one'].map((key) => file.integer('g', key))).toEqual([12, -3, 1]);
    for (const key of ['big', 'hex', 's']) expect(() => file.integer('g', key)).toThrow(uninterpretable);
    expect(file.boolean('g', 'none')).toBeUndefined();
    expect(() => file.expect('g', 'none')).toThrow('Key file does not have key “none” in group “g”');
    expect(() => file.expect('h', 'none')).toThrow('Key file does not have group “h”');
  });

  // Expected: ostree-prepare-root 2026.4, `Parsing rootfs config: Invalid tri-state value: X`.
  it('reads tri-states as ostree does', () => {
    const file = parse('[g]\na=yes\nb=no \nc=maybe\nd=1\ne=0\nf=YES\ng=signed\n');
    expect(['a', 'b', 'c', 'd', 'e', 'none'].map((key) => file.tristate('g', key))).toEqual([
      'yes',
      'no',
      'maybe',
      'yes',
      'no',
      undefined,
    ]);
    expect(() => file.tristate('g', 'f')).toThrow('Invalid tri-state value: YES');
    expect(() => file.tristate('g', 'g')).toThrow('Invalid tri-state value: signed');
  });

  it('takes any bytes, and refuses them with a line number or reads them', () => {
    const pieces = fc.constantFrom(
      '[',
      ']',
      '=',
      '\n',
      '\r',
      ' ',
      '#',
      '\\',
      '"',
      '\0',
      '.',
      'a',
      '\xff',
      '__proto__',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 60 }), (parts) => {
        let file: Keyfile;
        try {
          file = parse(parts.join(''));
        } catch (error) {
          expect((error as Error).message).toMatch(/^file: line \d+: /);
          return;
        }
        for (const group of file.groups)
          for (const key of file.keys(group)) expect(file.value(group, key)).not.toBe('undefined');
      }),
      { numRuns: 2000 },
    );
  });

  it('is not slow on long runs of blanks', () => {
    const blanks = ' '.repeat(500_000);
    const file = parse(`[g]\na${blanks}=${blanks}x${blanks}\n${blanks}# c\n`);
    expect(file.tristate.length + (file.value('g', 'a') as string).length).toBe(500_003);
    expect(() => file.boolean('g', 'a')).toThrow();
  });
});

// Expected: the file that `ostree config` 2026.4 writes. It drops comments, which stay here.
describe('setKey and unsetKey', () => {
  const config = '[core]\nrepo_version=1\nmode=bare\n';

  it.each([
    [
      'a new group',
      config,
      'ex-integrity',
      'composefs',
      'true',
      `${config}\n[ex-integrity]\ncomposefs=true\n`,
    ],
    ['a new key', config, 'core', 'x', '1', `${config}x=1\n`],
    ['a key that is there', config, 'core', 'mode', 'archive', '[core]\nrepo_version=1\nmode=archive\n'],
    ['an empty file', '', 'g', 'k', 'v', '[g]\nk=v\n'],
    ['a group before another', '[a]\nx=1\n\n[b]\ny=1\n', 'a', 'z', '2', '[a]\nx=1\nz=2\n\n[b]\ny=1\n'],
    ['an empty group', '[a]\n\n[b]\ny=1\n', 'a', 'w', '3', '[a]\nw=3\n\n[b]\ny=1\n'],
    ['the last of two', '[a]\nx=1\nx=2\n', 'a', 'x', '3', '[a]\nx=1\nx=3\n'],
    ['a file without a last line end', '[a]\nx=1', 'a', 'y', '2', '[a]\nx=1\ny=2\n'],
    ['blanks and escapes', '[a]\n', 'a', 'k', ' \t x\n\\ "q" #;x ', '[a]\nk=\\s\\t\\sx\\n\\\\ "q" #;x \n'],
  ])('sets in %s', (_, before, group, key, value, after) => {
    expect(set(before, group, key, value)).toBe(after);
    expect(parse(set(before, group, key, value)).get(group, key)).toBe(value);
  });

  it('leaves comments, order, empty lines and spacing alone', () => {
    const text = '# head\n\n[core]\n# the mode\nmode = bare   ; really\n\n\n# tail of core\n[other]\n\tx=1\n';
    expect(set(text, 'core', 'new', '1')).toBe(
      '# head\n\n[core]\n# the mode\nmode = bare   ; really\nnew=1\n\n\n# tail of core\n[other]\n\tx=1\n',
    );
    expect(set(text, 'other', 'x', '2')).toBe(text.replace('\tx=1', 'x=2'));
    expect(unset(text, 'core', 'mode')).toBe(text.replace('mode = bare   ; really\n', ''));
  });

  it('unsets the last of two, keeps the group, and says when there is nothing', () => {
    expect(unset('[a]\nx=1\nx=2\n', 'a', 'x')).toBe('[a]\nx=1\n');
    expect(unset('[a]\nx=1\n[b]\n', 'a', 'x')).toBe('[a]\n[b]\n');
    expect(unset(config, 'core', 'none')).toBeUndefined();
    expect(unset(config, 'none', 'mode')).toBeUndefined();
  });

  it('sets what is then read, and unsets it again', () => {
    const name = fc.stringMatching(/^[a-z0-9][ a-z0-9._;#"'-]{0,8}[a-z0-9]$/);
    fc.assert(
      fc.property(
        fc.constantFrom('', config, '# c\n[a]\n\n[b]\nx = 1'),
        name,
        name,
        fc.string(),
        (text, group, key, value) => {
          const bytes = utf8ByteString(value.replace(/\0/g, ''));
          const after = set(text, group, key, bytes);
          expect(parse(after).get(group, key)).toBe(bytes);
          const again = unset(after, group, key) as string;
          expect(parse(again).has(group, key)).toBe(false);
          expect(set(after, group, key, bytes)).toBe(after);
        },
      ),
    );
  });

  it('refuses names that would not be read back', () => {
    expect(() => set(config, 'a]b', 'k', 'v')).toThrow('Invalid group name: a]b');
    expect(() => set(config, 'a', 'k[de]', 'v')).toThrow('Invalid key name: k[de]');
    expect(() => set(config, 'a', 'a=b', 'v')).toThrow('Invalid key name: a=b');
    expect(() => set(config, 'a', ' a', 'v')).toThrow('Invalid key name:  a');
    expect(() => set('nonsense', 'a', 'a', 'v')).toThrow('file: line 1: ');
  });
});
