/** `sealtree initramfs install`: the boot program and its policy where the makers of an initramfs find them. @module */
import { displayByteString } from '../../core/bytes/byte-string.ts';
import { MODES, type Mode } from '../../core/conf/prepare-root.ts';
import type { Sealed } from '../../core/conf/sealed.ts';
import type { PublicKey } from '../../core/sign/keys.ts';
import { install } from '../../initramfs/install.ts';
import { readTemplate } from '../../initramfs/template.ts';
import { RootTree } from '../../node/root-tree.ts';
import { keysIn, programFor, sealedLimits, sealedOptionNames, sealedOptions } from '../sealed-options.ts';
import { optionError, usageError } from '../usage.ts';
import type { Context, OptionValues, Verb } from '../verb.ts';

/** Modes that a sealed initramfs can demand. */
const SEALED_MODES = ['signed', 'verity', 'yes'] as const;

export const verb: Verb = {
  tool: 'sealtree',
  path: ['initramfs', 'install'],
  summary: 'put boot program, policy and keys into a tree that an initramfs is made of',
  operands: '',
  options: [
    { flags: '--root <directory>', description: 'root tree that the initramfs will be made from' },
    {
      flags: '--program <file>',
      description:
        'boot program that `initramfs build` made; by default the one installed before, else one is built',
    },
    {
      flags: '--key <file>',
      description: 'file of public keys, one of which must have signed; may be given more than once',
    },
    {
      flags: '--mode <mode>',
      description:
        'what composefs.enabled must be at least: signed (the default with keys), verity, yes, maybe or no',
    },
    { flags: '--sealed', description: 'refuse at boot whatever is missing or weaker than what is said here' },
    ...sealedOptions('with --sealed: '),
    { flags: '--force', description: 'replace and change files that an install did not write' },
    { flags: '--json', description: 'print what was done as JSON' },
  ],
  examples: [
    'sealtree initramfs install --root=tree --program=prepare-root --key=build.public',
    'sealtree initramfs install --root=tree --program=prepare-root --key=build.public --sealed --arguments="root=* rw quiet console=*"',
  ],
  description: [
    "Into the root tree go: program and units, below /usr/lib/sealtree; a dracut module, a hook and a script of initramfs-tools, a hook of mkinitcpio, which put them into every initramfs made from the tree from then on; the keys, in /etc/ostree/initramfs-root-binding.key or where the tree's configuration says; and, if there is no prepare-root.conf, one with this mode. A configuration that is there stays if it demands as much, and is an error otherwise.",
    'Without --sealed the program takes the place of ostree-prepare-root and does as that does. With --sealed the initramfs has a sealed file (/usr/lib/sealtree/sealed.conf) with the mode, the keys and the other limits: what is missing or weaker is refused at boot. Its units let nothing lead into a root file system that was not verified, also if the unit that verifies is masked or passed over, and end in power off where there would be a shell. An /etc that outlives a boot is refused unless --etc-unsigned=allow says otherwise.',
    'A file that differs and was not written by an install is never replaced without --force. Nothing is written unless everything can be. Symlinks in the tree are followed as by a system that has it as its root: none leads out of it. What was done is printed, one file a line; run again, nothing is left to do.',
  ],
  run,
};

async function run({ args, options, stdout, stderr }: Context): Promise<void> {
  const directory = options.value('root');
  if (directory === undefined || args.length > 0)
    throw usageError('initramfs install needs --root=DIRECTORY');
  const keys = keysIn(options.values('key'));
  const mode = modeFor(options, keys);
  const sealed = sealedFrom(options, mode);
  const tree = new RootTree(directory);
  try {
    const program = await programFor(options.value('program'), tree, (text) =>
      stderr.line(`sealtree: ${text}`),
    );
    const files = install(tree, { program, keys, mode, sealed, force: options.has('force') }, readTemplate);
    if (options.has('json')) {
      const shown = files.map(({ path, action }) => ({ path: displayByteString(path), action }));
      stdout.line(JSON.stringify({ format: 'sealtree-install-1', files: shown }, undefined, 2));
    } else {
      for (const { path, action } of files) stdout.line(`${action.padEnd(9)} ${displayByteString(path)}`);
    }
  } finally {
    tree.close();
  }
}

function modeFor(options: OptionValues, keys: readonly PublicKey[]): Mode | undefined {
  const given = options.value('mode');
  if (given === undefined) return options.has('sealed') || keys.length > 0 ? 'signed' : undefined;
  const mode = MODES.find((name) => name === given);
  if (mode === undefined)
    throw optionError(`--mode: expected ${MODES.join(', ')}, found ${displayByteString(given)}`);
  return mode;
}

function sealedFrom(options: OptionValues, mode: Mode | undefined): Omit<Sealed, 'trusted'> | undefined {
  if (!options.has('sealed')) {
    const lonely = sealedOptionNames.find((name) => options.has(name));
    if (lonely !== undefined) throw optionError(`--${lonely} means something only with --sealed`);
    return undefined;
  }
  const minimum = SEALED_MODES.find((name) => name === mode);
  if (minimum === undefined) throw optionError(`--sealed needs --mode ${SEALED_MODES.join(', ')}`);
  return sealedLimits(options, minimum);
}
