/** `ostree admin deploy`: makes a commit the system that boots next. @module */
import { type ByteString, byteStringFrom, displayByteString } from '../../core/bytes/byte-string.ts';
import { SealtreeError } from '../../core/errors.ts';
import { type ArgumentChanges, deployInto } from '../../deploy/deploy.ts';
import { readFileLimited } from '../../node/read-file.ts';
import { changingSysroot, fileInCurrentDirectory, reporter } from '../sysroot.ts';
import { usageError } from '../usage.ts';
import type { Context, OptionValues, Verb } from '../verb.ts';

const ORIGIN_LIMIT = 1024 * 1024;

export const verb: Verb = {
  tool: 'ostree',
  path: ['admin', 'deploy'],
  summary: "Check a commit out of the sysroot's repository and make it what boots next",
  operands: 'REFSPEC',
  options: [
    {
      flags: '--os <osname>',
      description: 'Stateroot that it belongs to (default: that of the running system)',
      kind: 'text',
    },
    { flags: '--stateroot <stateroot>', description: 'The same', kind: 'text' },
    { flags: '--origin-file <filename>', description: 'File that becomes the .origin of the deployment' },
    { flags: '--no-prune', description: 'Keep objects in the repository that nothing needs' },
    {
      flags: '--no-merge',
      description: 'Take over neither changes of /etc nor kernel arguments from the deployment before',
    },
    { flags: '--retain', description: 'Keep all other deployments' },
    { flags: '--retain-pending', description: 'Keep those before the running one' },
    { flags: '--retain-rollback', description: 'Keep those behind the running one' },
    {
      flags: '--not-as-default',
      description: 'Put it behind the running one, so that it is not what boots next',
    },
    {
      flags: '--karg-proc-cmdline',
      description: 'Begin with the kernel arguments of the running kernel',
    },
    {
      flags: '--karg <name=value>',
      description: 'Kernel argument in place of all of its name; can be repeated',
      kind: 'text',
    },
    {
      flags: '--karg-append <name=value>',
      description: 'Kernel argument beside others of its name; can be repeated',
      kind: 'text',
    },
    { flags: '--karg-none', description: 'Begin without any kernel arguments' },
    {
      flags: '--karg-delete <name=value>',
      description: 'Kernel argument that goes, if it is there; can be repeated',
      kind: 'text',
    },
    {
      flags: '--overlay-initrd <file>',
      description: 'File that the boot loader loads behind the initramfs; can be repeated',
      kind: 'text',
    },
    {
      flags: '--verity-later',
      description: 'Accept a file system without fs-verity: what makes a disk of this sysroot turns it on',
      ownOnly: true,
    },
  ],
  examples: [
    'sealtree admin deploy --sysroot=/mnt --os=debian --karg=root=LABEL=root --karg=rw debian/13',
    'sealtree admin deploy debian/13',
  ],
  description: [
    'Where the prepare-root.conf of the commit says composefs.enabled=signed or verity, fs-verity is turned on for the ' +
      'composefs image and all files; a file system that has none is an error.',
    "On a /boot with symlinks one rename makes the change. On FAT the new entries get new names, the default's comes " +
      'last, and those of before stay until the new system has booted.',
  ],
  run,
};

async function run(context: Context): Promise<void> {
  const { args, options, program } = context;
  await changingSysroot(context, async (sysroot) => {
    const [refspec] = args;
    if (refspec === undefined) throw usageError('REF/REV must be specified');
    requireCompatible(options);
    await deployInto(sysroot, {
      refspec,
      stateroot: lastOf(options, 'os', 'stateroot'),
      origin: originFile(options),
      merge: !options.has('no-merge'),
      arguments: argumentChanges(options),
      overlayInitrds: options.values('overlay-initrd').map(fileInCurrentDirectory),
      retain: options.has('retain'),
      retainPending: options.has('retain-pending'),
      retainRollback: options.has('retain-rollback'),
      notAsDefault: options.has('not-as-default'),
      prune: !options.has('no-prune'),
      verity: program === 'ostree' ? 'repository' : options.has('verity-later') ? 'later' : 'policy',
      report: reporter(context),
    });
  });
}

function requireCompatible(options: OptionValues): void {
  const both = (a: string, b: string) => {
    if (options.has(a) && options.has(b)) throw usageError(`Can't specify both --${a} and --${b}`);
  };
  both('karg-proc-cmdline', 'karg-none');
  both('karg-none', 'karg-delete');
  both('no-merge', 'karg-delete');
}

function lastOf(options: OptionValues, ...names: readonly string[]): ByteString | undefined {
  return names.map((name) => options.value(name)).find((value) => value !== undefined);
}

function originFile(options: OptionValues): ByteString | undefined {
  const path = options.value('origin-file');
  if (path === undefined) return undefined;
  const data = readFileLimited(path, displayByteString(path), ORIGIN_LIMIT);
  if (data === undefined)
    throw new SealtreeError('missing', 'No such file or directory', { errno: 'ENOENT' });
  return byteStringFrom(data);
}

function argumentChanges(options: OptionValues): ArgumentChanges {
  return {
    from: options.has('karg-none') ? 'none' : options.has('karg-proc-cmdline') ? 'running' : 'merge',
    set: options.values('karg'),
    append: options.values('karg-append'),
    delete: options.values('karg-delete'),
  };
}
