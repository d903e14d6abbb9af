/** What the error number of a mount says about the kernel; the numbers are those that 6.1 and 6.12 gave. @module */
import { describe, expect, it } from 'vitest';
import { explainLack } from '../../initramfs/kernel-lack.ts';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { type ErrorName, systemCallError, worded } from '../../src/core/errno.ts';
import { refusalOf } from '../../src/core/verify/fault.ts';
import { type MountStep, planImage } from '../../src/core/verify/plan.ts';

function explained(step: MountStep, errno: ErrorName, release: string) {
  const error = systemCallError('mount', errno);
  const described = worded('Failed to mount composefs: composefs: failed to mount', error);
  return refusalOf(
    explainLack(step, error, described, { release: byteString(release), features: {} }),
    'mounted',
  );
}

const [image, overlay] = planImage({
  image: byteString('/image'),
  digest: undefined,
  verity: true,
  data: [byteString('/objects')],
  lower: byteString('/lower'),
  at: byteString('/root'),
  readonly: true,
}).steps as [MountStep, MountStep];

describe('a mount that fails', () => {
  for (const [what, step, errno, release, expected, advice] of [
    ['EROFS', image, 'ENODEV', '6.12.1', 'CONFIG_EROFS_FS', /lacks CONFIG_EROFS_FS/],
    [
      'a loop device',
      image,
      'ENOENT',
      '6.1.0',
      'Linux 6.12 with CONFIG_EROFS_FS_BACKED_BY_FILE',
      /6\.1\.0 is too old/,
    ],
    ['a loop device on a new kernel', image, 'ENXIO', '6.18.1', 'CONFIG_EROFS_FS_BACKED_BY_FILE', /lacks/],
    ['overlayfs', overlay, 'ENODEV', '6.12.1', 'CONFIG_OVERLAY_FS', /lacks CONFIG_OVERLAY_FS/],
    ['verity=require', overlay, 'EINVAL', '6.1.0', 'Linux 6.6 with CONFIG_OVERLAY_FS', /6\.1\.0 is too old/],
  ] as const) {
    it(`for want of ${what}`, () => {
      const refusal = explained(step, errno, release);
      expect(refusal).toMatchObject({ check: 'kernel', expected, found: release });
      expect(refusal.message).toMatch(/^Failed to mount composefs: composefs: failed to mount: /);
      expect(refusal.advice).toMatch(advice);
    });
  }

  it('for another reason is left as it is', () => {
    expect(explained(image, 'EIO', '6.12.1')).toMatchObject({ check: 'mounted', expected: undefined });
    expect(explained(overlay, 'EIO', '6.12.1')).toMatchObject({ check: 'mounted', expected: undefined });
  });
});
