import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type ByteString, byteString, bytesOf } from '../../../src/core/bytes/byte-string.ts';
import {
  BINDING_KEY_PATH,
  loadPrepareRoot,
  type PrepareRoot,
  parsePrepareRoot,
  withKernelArguments,
} from '../../../src/core/conf/prepare-root.ts';
import type { System } from '../../../src/core/system.ts';

const parse = (text: string) => parsePrepareRoot(byteString(text), byteString('prepare-root.conf'));
const composefs = ({ composefs: { enabled, verity, signed } }: PrepareRoot) => ({ enabled, verity, signed });

const NOTHING = { enabled: 'no', verity: false, signed: false };
const SIGNED = { enabled: 'yes', verity: true, signed: true };

// Behaviour of ostree-prepare-root 2026.4, observed; its messages word for word.
describe('parsePrepareRoot', () => {
  it.each([
    ['', NOTHING],
    ['[composefs]\nenabled=signed\n', SIGNED],
    ['[composefs]\nenabled=verity\n', { enabled: 'yes', verity: true, signed: false }],
    ['[composefs]\nenabled=yes\n', { enabled: 'yes', verity: false, signed: false }],
    ['[composefs]\nenabled=1\n', { enabled: 'yes', verity: false, signed: false }],
    ['[composefs]\nenabled = maybe \n', { enabled: 'maybe', verity: false, signed: false }],
    ['[composefs]\nenabled=false\n', NOTHING],
  ])('reads %j', (text, expected) => {
    expect(composefs(parse(text))).toEqual(expected);
  });

  it.each([
    ['[composefs]\nenabled=YES\n', 'Parsing rootfs config: Invalid tri-state value: YES'],
    ['[composefs]\nenabled=bogus\n', 'Parsing rootfs config: Invalid tri-state value: bogus'],
    ['[composefs]\nenabled=signed \n', 'Parsing rootfs config: Invalid tri-state value: signed'],
    [
      '[root]\ntransient=true\ntransient-ro=true\n',
      'Parsing rootfs config: Cannot set both root.transient and root.transient-ro',
    ],
    ['[root]\ntransient=yes\n', 'which has a value that cannot be interpreted.'],
    ['nonsense\n', 'Failed to parse config: prepare-root.conf: line 1: Key file contains line “nonsense”'],
    ['[a]\nb=\xff\n', 'Failed to parse config: prepare-root.conf: Invalid UTF-8'],
  ])('refuses %j', (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  it('takes keyfile for keypath, and refuses two that differ', () => {
    const keypath = (lines: string) => parse(`[composefs]\n${lines}`).composefs.keypath;
    expect(keypath('')).toBe(BINDING_KEY_PATH);
    expect(keypath('keypath=/a#b\n')).toBe('/a#b');
    expect(keypath('keyfile=/a\n')).toBe('/a');
    expect(keypath('keyfile=/a\nkeypath=/a\n')).toBe('/a');
    expect(() => keypath('keyfile=/a\nkeypath=/b\n')).toThrow(
      'composefs.keypath is /b, but composefs.keyfile is /a',
    );
  });

  it('reads the other sections', () => {
    const { root, etcTransient, sysrootReadonly, unknown } = parse(
      '[root]\ntransient-ro=true\n[etc]\ntransient=1\n[sysroot]\nreadonly=false\n[composefs]\nenable=signed\n[constructor]\nx=1\n',
    );
    expect(root).toEqual({ transient: true, readonly: true });
    expect(etcTransient).toBe(true);
    expect(sysrootReadonly).toBe(false);
    expect(unknown).toEqual(['composefs.enable', 'constructor.x']);
    expect(parse('').sysrootReadonly).toBeUndefined();
  });
});

describe('conf/prepare-root.conf', () => {
  const text = readFileSync(new URL('../../../conf/prepare-root.conf', import.meta.url), 'latin1');

  it('demands a signature, and every key in it means something', () => {
    const config = parse(text);
    expect(composefs(config)).toEqual(SIGNED);
    expect(config).toMatchObject({
      composefs: { keypath: BINDING_KEY_PATH },
      root: { transient: false, readonly: false },
      etcTransient: true,
      sysrootReadonly: true,
      unknown: [],
    });
  });

  it('describes every key there is', () => {
    for (const key of ['enabled', 'keypath', 'transient', 'transient-ro', 'readonly'])
      expect(text).toMatch(new RegExp(`^${key} = `, 'm'));
  });
});

describe('loadPrepareRoot', () => {
  const load = (files: Record<string, string>) => {
    const system: Pick<System, 'readFile'> = {
      readFile: (path) => (files[path] === undefined ? undefined : bytesOf(byteString(files[path]))),
    };
    const { path, config } = loadPrepareRoot(system as System, byteString('/root'));
    return { path, ...composefs(config), etcTransient: config.etcTransient };
  };
  const usr = '/root/usr/lib/ostree/prepare-root.conf';
  const etc = '/root/etc/ostree/prepare-root.conf';

  it('takes the file in /usr/lib', () => {
    expect(load({ [usr]: '[composefs]\nenabled=signed\n' })).toMatchObject({ path: usr, ...SIGNED });
    expect(load({})).toMatchObject({ path: undefined, ...NOTHING });
  });

  // Observed: with `enabled=signed` in /usr/lib and only `etc.transient` in /etc, ostree boots unsigned.
  it('lets the file in /etc replace it as a whole', () => {
    expect(load({ [usr]: '[composefs]\nenabled=signed\n', [etc]: '[etc]\ntransient=true\n' })).toEqual({
      path: etc,
      ...NOTHING,
      etcTransient: true,
    });
  });
});

describe('withKernelArguments', () => {
  const under = (text: string, cmdline: string) =>
    composefs(withKernelArguments(parse(text), cmdline as ByteString));
  const signed = '[composefs]\nenabled=signed\n';

  it.each([
    ['', 'quiet', NOTHING],
    ['', 'ostree.prepare-root.composefs=1', { enabled: 'yes', verity: false, signed: false }],
    ['', 'a ostree.prepare-root.composefs=maybe b', { enabled: 'maybe', verity: false, signed: false }],
    ['', 'ostree.prepare-root.composefs=signed', SIGNED],
    [signed, 'ostree.prepare-root.composefs=signed', SIGNED],
    [signed, 'xostree.prepare-root.composefs=0', SIGNED],
    [
      '[composefs]\nenabled=verity\n',
      'ostree.prepare-root.composefs=0',
      { enabled: 'no', verity: true, signed: false },
    ],
  ])('of %j makes with %j', (text, cmdline, expected) => {
    expect(under(text, cmdline)).toEqual(expected);
  });

  it('refuses what ostree refuses', () => {
    expect(() => under('', 'ostree.prepare-root.composefs=verity')).toThrow(
      'Parsing rootfs config: handling karg ostree.prepare-root.composefs: Invalid tri-state value: verity',
    );
  });

  it.each(['0', 'no', 'false', '1', 'yes', 'true', 'maybe'])(
    'does not let =%s turn the signature off',
    (value) => {
      expect(() => under(signed, `ostree.prepare-root.composefs=${value}`)).toThrow(
        `kernel argument ostree.prepare-root.composefs=${value} would turn off the signature check`,
      );
    },
  );
});
