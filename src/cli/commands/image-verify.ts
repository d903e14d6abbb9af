/** `sealtree image verify`: examines a disk without mounting it. @module */
import { byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { EXIT_STATUS } from '../../core/errors.ts';
import type { BootFacts } from '../../core/verify/boot.ts';
import { explainVerification, verificationJson } from '../../core/verify/explain.ts';
import { findRoot, openDisk } from '../../disk/disk-file.ts';
import { type DiskVerification, explainDisk, isDiskValid, verifyDisk } from '../../disk/verify-disk.ts';
import { nodeSystem } from '../../node/system.ts';
import { givenConfig, givenKeys, POLICY_OPTIONS } from '../given-policy.ts';
import { startProgress } from '../progress.ts';
import { absolutePath } from '../repository.ts';
import { optionError, usageError } from '../usage.ts';
import type { Context, OptionValues, Verb } from '../verb.ts';

const POLICY_NAMES = ['key', 'keys-file', 'keys-dir', 'config'];

export const verb: Verb = {
  tool: 'sealtree',
  path: ['image', 'verify'],
  summary: 'prove that every object and image on a disk has fs-verity, and what boots of it',
  operands: 'DISK',
  options: [
    ...POLICY_OPTIONS,
    {
      flags: '--own-initramfs',
      description: 'judge each deployment by configuration, keys and sealed file of its own initramfs',
    },
    { flags: '--cmdline <arguments>', description: 'kernel arguments to take into account' },
    { flags: '--json', description: 'print the findings as JSON' },
    { flags: '-q, --quiet', description: 'print nothing if the answer is yes' },
  ],
  examples: [
    'sealtree image verify --keys-file=build.public disk.raw',
    'sealtree image verify --own-initramfs --cmdline="root=LABEL=root rw" disk.raw',
  ],
  description: [
    'DISK is a disk with a GUID partition table, an image of one, or an ext4 file system. Nothing is mounted and nothing written, and the kernel of this machine need not have fs-verity: the descriptors and Merkle trees that ext4 keeps are read and held against the content, block by block.',
    'Of every file object is checked that fs-verity is on, that its Merkle tree is that of its content, and that it is what its name says; of every deployment what a boot checks, and that each file that its image names has the digest that the image names. What is damaged is named with the paths that use it.',
    'With --own-initramfs the question is whether the system on the disk would boot itself: the policy is that of the initramfs in each deployment, and nothing here vouches for that. Otherwise keys and configuration are given as to `sealtree verify`. The exit status is 0 for yes and 3 for no; others mean that there was no decision.',
  ],
  run,
};

function run({ args, options, stdout, stderr }: Context): number {
  const [path] = args;
  if (path === undefined || args.length > 1) throw usageError('image verify needs a DISK');
  const name = absolutePath(path);
  const ownPolicy = options.has('own-initramfs');
  if (ownPolicy && POLICY_NAMES.some((option) => options.has(option)))
    throw optionError('--own-initramfs has its own keys and configuration: none can be given beside it');
  const given = ownPolicy ? { root: byteString('') } : givenPolicy(options);
  const cmdline = options.value('cmdline') ?? byteString('');
  const disk = openDisk(name);
  const progress = startProgress(stderr, 'examining', options.has('json') || options.has('quiet'));
  let found: DiskVerification;
  try {
    const { reader } = findRoot(disk, displayByteString(path));
    const facts = { cmdline, ...given };
    found = verifyDisk(reader, { system: nodeSystem, name, facts, ownPolicy, onProgress: progress.add });
  } finally {
    progress.end();
    disk.close();
  }
  const valid = isDiskValid(found);
  if (options.has('quiet') && valid) return 0;
  if (options.has('json')) stdout.line(JSON.stringify(json(found), undefined, 2));
  else {
    for (const deployment of found.deployments)
      for (const line of explainVerification(deployment)) stdout.line(line);
    for (const line of explainDisk(found)) stdout.line(line);
  }
  return valid ? 0 : EXIT_STATUS.mismatch;
}

function givenPolicy(options: OptionValues): Pick<BootFacts, 'root' | 'given'> {
  const keys = givenKeys(options);
  const { config, root } = givenConfig(options);
  return { root, given: { config, keys } };
}

function json(found: DiskVerification): unknown {
  return {
    format: 'sealtree-image-verify-1',
    valid: isDiskValid(found),
    files: found.counts.files,
    otherObjects: found.counts.others,
    damage: found.damage.map(({ object, fault }) => ({ object: displayByteString(object), fault })),
    deployments: found.deployments.map(verificationJson),
  };
}
