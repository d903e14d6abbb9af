/**
 * From the step of a mount plan that failed, and how, to what the kernel lacks: a version alone does not say how it was
 * configured.
 * @module
 */
import { failedWith } from '../src/core/errno.ts';
import { SealtreeError } from '../src/core/errors.ts';
import { type KernelFacts, type KernelFeature, kernelFault } from '../src/core/verify/kernel.ts';
import type { MountStep } from '../src/core/verify/plan.ts';

/**
 * The failure with what to do about it, where it shows that the kernel lacks something.
 *
 * @param error what the call said
 * @param described the same failure in words, which stay as they are
 */
export function explainLack(
  step: MountStep,
  error: unknown,
  described: SealtreeError,
  kernel: KernelFacts,
): SealtreeError {
  const lacking = lackingFeature(step, error);
  if (lacking === undefined) return described;
  const demands = { verity: lacking === 'overlay verity', signed: false };
  const features = { erofs: true, overlay: true, 'file-backed erofs': lacking !== 'loop', [lacking]: false };
  const fault = kernelFault(demands, { ...kernel, features });
  if (fault === undefined) return described;
  return new SealtreeError(described.code, described.message, {
    ...described.detail,
    check: 'kernel',
    ...(fault.expected === undefined ? {} : { expected: fault.expected }),
    ...(fault.found === undefined ? {} : { found: fault.found }),
    advice: `${fault.message}: boot another kernel, or put its module into the initramfs`,
  });
}

function lackingFeature(step: MountStep, error: unknown): KernelFeature | undefined {
  if (step.step === 'mount image') {
    if (failedWith(error, 'ENODEV')) return 'erofs';
    // Asked for a block device, there was no loop device to give it.
    return failedWith(error, 'ENOENT', 'ENXIO') ? 'loop' : undefined;
  }
  if (step.step !== 'mount overlay') return undefined;
  if (failedWith(error, 'ENODEV')) return 'overlay';
  return step.verity && failedWith(error, 'EINVAL') ? 'overlay verity' : undefined;
}
