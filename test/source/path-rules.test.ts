import { describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { S_IFDIR, S_IFREG } from '../../src/core/fs/mode.ts';
import { type Modifier, modified } from '../../src/source/modifier.ts';
import { PathRules } from '../../src/source/path-rules.ts';

const AS_IT_IS: Modifier = {
  uid: undefined,
  gid: undefined,
  readOnlyExecutables: false,
  canonicalPermissions: false,
  skipXattrs: false,
};

describe('the rules of a statoverride file', () => {
  it('add bits once and set permissions every time', () => {
    const rules = new PathRules();
    rules.addStatoverride(byteString('+2048 /bin/su\n=384 /etc/shadow\n1 /with space\n\n'));
    expect(rules.takeModeChange(byteString('/bin/su'))).toEqual({ add: 2048 });
    expect(rules.takeModeChange(byteString('/bin/su'))).toBeUndefined();
    expect(rules.takeModeChange(byteString('/etc/shadow'))).toEqual({ permissions: 384 });
    expect(rules.takeModeChange(byteString('/etc/shadow'))).toEqual({ permissions: 384 });
    expect(rules.unmatched).toEqual({ statoverride: ['/with space'], skipList: [] });
  });

  // Numbers as C's strtod finds them: ostree 2026.4.
  it.each([
    ['0x1ff', 511],
    ['010', 10],
    ['1e2', 100],
    ['-1', 4294967295],
    ['x', 0],
    ['', 0],
  ])('read %s as %d', (text, add) => {
    const rules = new PathRules();
    rules.addStatoverride(byteString(`${text} /a`));
    expect(rules.takeModeChange(byteString('/a'))).toEqual({ add });
  });

  it('refuse a line without a path', () => {
    const call = () => new PathRules().addStatoverride(byteString('2048\n'));
    expect(call).toThrow('Malformed statoverride file (no space found)');
  });
});

describe('a modifier', () => {
  const file = { uid: 5, gid: 6, mode: S_IFREG | 0o6775 };

  it('changes owner, then executables, then single paths, then all to canonical permissions', () => {
    expect(modified(AS_IT_IS, file, undefined)).toEqual(file);
    expect(modified({ ...AS_IT_IS, uid: 0 }, file, undefined)).toEqual({ ...file, uid: 0 });
    const readOnly = { ...AS_IT_IS, readOnlyExecutables: true };
    expect(modified(readOnly, file, undefined).mode).toBe(S_IFREG | 0o6555);
    expect(modified(readOnly, file, { add: 0o200 }).mode).toBe(S_IFREG | 0o6755);
    expect(modified(readOnly, file, { permissions: 0o600 }).mode).toBe(S_IFREG | 0o600);
    const canonical = { ...AS_IT_IS, canonicalPermissions: true };
    expect(modified(canonical, file, { add: 0o7777 })).toEqual({ uid: 0, gid: 0, mode: S_IFREG | 0o755 });
  });

  it('never makes another type of file of something', () => {
    const directory = { uid: 0, gid: 0, mode: S_IFDIR | 0o755 };
    // The words of ostree 2026.4.
    const message = 'Invalid directory metadata mode 20973; not a directory';
    expect(() => modified(AS_IT_IS, directory, { add: 0o10000 })).toThrow(message);
    expect(() => modified(AS_IT_IS, file, { add: 0o40000 })).toThrow('it is that of another type of file');
  });
});
