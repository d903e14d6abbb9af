/** `sealtree initramfs inspect`: what an initramfs would enforce. @module */
import { displayByteString } from '../../core/bytes/byte-string.ts';
import { prefixed, SealtreeError } from '../../core/errors.ts';
import { decompress } from '../../initramfs/decompress.ts';
import { explainInspection, inspectionJson } from '../../initramfs/explain-inspection.ts';
import { inspectImage } from '../../initramfs/inspect.ts';
import { readFileLimited } from '../../node/read-file.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

const IMAGE_LIMIT = 1024 * 1024 * 1024;

export const verb: Verb = {
  tool: 'sealtree',
  path: ['initramfs', 'inspect'],
  summary: 'list what an initramfs would enforce',
  operands: 'IMAGE',
  options: [
    {
      flags: '--cmdline <arguments>',
      description: 'kernel arguments to take into account, in place of those of a unified kernel image',
    },
    { flags: '--json', description: 'print the findings as JSON' },
  ],
  examples: [
    'sealtree initramfs inspect /boot/initrd.img',
    'sealtree initramfs inspect --json /boot/EFI/Linux/os.efi',
  ],
  description: [
    'IMAGE is an initramfs as the kernel takes it: cpio archives one after the other, each as it is or compressed with gzip, zstd or xz, such as one with microcode before the main one; or a unified kernel image (a PE executable) with one or several of them. It is unpacked in memory by the rules of the kernel: what a later archive has in place of an earlier one counts, and symlinks lead where they would lead. Nothing in it is run.',
    "Printed are the archives; the boot program and its version (sealtree's, ostree's own, or another); what starts it, and under which condition it would be passed over; the sealed file and the configuration in force with the mode; the keys by fingerprint and the file that each is in, and revoked keys; and, as warnings, what would lead around it. REFUSES means that no boot can succeed with what stands in the initramfs.",
    'An image has at most 1 GiB, and so have all its archives together once they are decompressed; at most 262144 members are read, and names of at most 4096 bytes. More is refused, and so is everything at which the kernel would stop unpacking.',
    'With --json one object is printed: `format` is `sealtree-initramfs-1`, `initramfs` an array with one element for an initramfs, and one for each that a unified kernel image has. Members without a value are null.',
  ],
  run,
};

function run({ args, options, stdout }: Context): void {
  const [path] = args;
  if (path === undefined || args.length > 1) throw usageError('initramfs inspect needs an IMAGE');
  const shown = displayByteString(path);
  const image = readFileLimited(path, shown, IMAGE_LIMIT);
  if (image === undefined) throw new SealtreeError('missing', `${shown}: No such file or directory`);
  const inspections = (() => {
    try {
      return inspectImage(image, decompress, options.value('cmdline'));
    } catch (error) {
      throw prefixed(shown, error);
    }
  })();
  if (options.has('json')) {
    stdout.line(JSON.stringify(inspectionJson(inspections), undefined, 2));
    return;
  }
  inspections.forEach((inspection, index) => {
    if (index > 0) stdout.line('');
    for (const line of explainInspection(inspection)) stdout.line(line);
  });
}
