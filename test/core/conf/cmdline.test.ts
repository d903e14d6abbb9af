import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { kernelArgument, ostreeTarget } from '../../../src/core/conf/cmdline.ts';

describe('kernelArgument', () => {
  it.each([
    ['a=1 b=2', 'b', '2'],
    ['a=1 a=2', 'a', '1'],
    ['  a=1', 'a', '1'],
    ['a="x y"', 'a', '"x'],
    ['ab=1 a=2', 'a', '2'],
    ['a=', 'a', ''],
    ['a', 'a', undefined],
    ['x\ta=1', 'a', undefined],
    ['', 'a', undefined],
  ])('of %j finds %s=%j', (cmdline, key, value) => {
    expect(kernelArgument(byteString(cmdline), key)).toBe(value);
  });
});

// ostree-prepare-root 2026.4.
describe('ostreeTarget', () => {
  it.each([
    ['root=x ostree=/ostree/boot.1/os/abc/0 rw', '/ostree/boot.1/os/abc/0'],
    ['ostree=/a ostree=/b', '/a'],
    ['androidboot.slot_suffix=_b ostree=/a', '/ostree/root.b'],
    ['androidboot.slot_suffix=_a', '/ostree/root.a'],
    ['ostree=/a androidboot.mode=normal', '/ostree/root.a'],
    ['root=x', undefined],
  ])('of %j is %j', (cmdline, target) => {
    expect(ostreeTarget(byteString(cmdline))).toBe(target);
  });

  it('refuses another slot', () => {
    expect(() => ostreeTarget(byteString('androidboot.slot_suffix=_c'))).toThrow(
      'androidboot.slot_suffix invalid: _c',
    );
  });
});
