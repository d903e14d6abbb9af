import { describe, expect, it } from 'vitest';
import { byteString } from '../../../src/core/bytes/byte-string.ts';
import { type KernelDemands, type KernelFacts, kernelFault } from '../../../src/core/verify/kernel.ts';

const YES: KernelDemands = { verity: false, signed: false };
const VERITY: KernelDemands = { ...YES, verity: true };
const SIGNED: KernelDemands = { ...VERITY, signed: true };

const fault = (demands: KernelDemands, release: string, features: KernelFacts['features'] = {}) =>
  kernelFault(demands, { release: byteString(release), features })?.message;

describe('kernelFault', () => {
  // Versions: overlayfs.rst and erofs.rst of Linux; 6.1 and 6.12 were tried.
  it('lets 6.1 do yes and maybe, and 6.6 all', () => {
    expect(fault(YES, '6.1.0-56-amd64')).toBeUndefined();
    expect(fault(VERITY, '6.6.0')).toBeUndefined();
    expect(fault(SIGNED, '6.12.107+deb13-amd64')).toBeUndefined();
    expect(fault(SIGNED, '7.0.1')).toBeUndefined();
  });

  it('says which version is missing', () => {
    const old =
      'kernel 6.1.0-56-amd64 is too old: the overlay must demand verity=require, which Linux has since 6.6';
    expect(fault(VERITY, '6.1.0-56-amd64')).toBe(old);
    expect(fault(SIGNED, '6.1.0-56-amd64')).toBe(old);
    expect(fault(SIGNED, '6.5.13')).toContain('since 6.6');
    expect(fault(VERITY, '6.4.0', { 'overlay verity': true })).toContain(
      'data-only layers, which Linux has since 6.5',
    );
    expect(fault(YES, '6.11.0', { loop: false })).toContain(
      'mounted from its file, which Linux has since 6.12',
    );
  });

  it('says which option is missing', () => {
    expect(fault(YES, '6.12.0', { erofs: false })).toBe(
      'kernel 6.12.0 lacks CONFIG_EROFS_FS: the image is an EROFS file system',
    );
    expect(fault(YES, '6.12.0', { overlay: false })).toContain('lacks CONFIG_OVERLAY_FS');
    expect(fault(SIGNED, '6.12.0', { 'fs-verity': false })).toContain('lacks CONFIG_FS_VERITY');
    expect(fault(VERITY, '6.12.0', { 'fs-verity': false })).toBeUndefined();
    expect(fault(YES, '6.12.0', { 'file-backed erofs': false, loop: false })).toContain(
      'lacks CONFIG_EROFS_FS_BACKED_BY_FILE',
    );
    expect(fault(YES, '6.12.0', { 'file-backed erofs': false })).toBeUndefined();
  });

  it('believes what was probed more than the version, and takes a name without one for new', () => {
    expect(
      fault(VERITY, '5.14.0-el9', { 'overlay verity': true, 'data-only layers': true, loop: true }),
    ).toBeUndefined();
    expect(fault(SIGNED, 'next-20260101')).toBeUndefined();
  });
});
