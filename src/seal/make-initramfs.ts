/** The initramfs of a tree: by the tree's own generator, by ours, or one that is there and gets the policy added. @module */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { encodeCpio } from '../core/cpio/newc.ts';
import { SealtreeError } from '../core/errors.ts';
import { onExit } from '../node/on-exit.ts';
import { failureOf } from '../node/program-failure.ts';
import { readFileLimited } from '../node/read-file.ts';
import type { RootTree } from '../node/root-tree.ts';
import { kernelModules } from './kernel-modules.ts';
import { minimalInitramfs, policyMembers } from './minimal-initramfs.ts';

/** `minimal` is ours, the others are the programs of these names in the tree. */
export const GENERATORS = ['dracut', 'mkinitramfs', 'mkinitcpio', 'minimal'] as const;
export type Generator = (typeof GENERATORS)[number];

export interface InitramfsRequest {
  /** Path of the tree, and the same tree opened. */
  readonly root: ByteString;
  readonly tree: RootTree;
  /** Of the kernel. */
  readonly version: ByteString;
  /** Undefined for the first of {@link GENERATORS} that the tree has. */
  readonly generator: Generator | undefined;
  /** An initramfs that is there already. */
  readonly file: ByteString | undefined;
  /** Further kernel modules for the minimal one. */
  readonly modules: readonly ByteString[];
  readonly say: (text: string) => void;
}

const IMAGE_LIMIT = 1024 * 1024 * 1024;
const FOLDERS = ['usr/bin', 'usr/sbin', 'bin', 'sbin'];

/** Words of each generator; the file is where ostree looks for it. */
const COMMANDS: Readonly<Record<Exclude<Generator, 'minimal'>, (version: string, file: string) => string[]>> =
  {
    dracut: (version, file) => [
      ...['dracut', '--force', '--no-hostonly', '--reproducible', '--add', 'sealtree'],
      ...['--kver', version, file],
    ],
    mkinitramfs: (version, file) => ['mkinitramfs', '-o', file, version],
    mkinitcpio: (version, file) => ['mkinitcpio', '-k', version, '-g', file],
  };

/** What a generator needs of the system that it runs in. All of it goes with the mount namespace. */
const ENTER = `set -e
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t sysfs -o ro sysfs "$1/sys"
mount -t tmpfs tmpfs "$1/run"
mount -t tmpfs tmpfs "$1/tmp"
mkdir -p "$1/var/tmp"
root=$1
shift
exec chroot "$root" "$@"`;

/** Puts the initramfs to `usr/lib/modules/VERSION/initramfs.img` of the tree. @returns what made it */
export async function makeInitramfs(request: InitramfsRequest): Promise<string> {
  const { root, tree, version, file, modules, say } = request;
  const place = byteString(`/usr/lib/modules/${version}/initramfs.img`);
  if (file !== undefined) {
    tree.write(place, withPolicy(file, tree), 0o644);
    return displayByteString(file);
  }
  const generator = request.generator ?? GENERATORS.find((name) => hasGenerator(root, name)) ?? 'minimal';
  if (generator === 'minimal') {
    tree.write(place, minimalInitramfs(tree, version, kernelModules(tree, version, modules)), 0o644);
    return generator;
  }
  if (!hasGenerator(root, generator))
    throw new SealtreeError('missing', `${displayByteString(root)}: has no ${generator}`);
  if (process.geteuid?.() !== 0)
    throw new SealtreeError(
      'unsupported',
      `${generator} has to run in the tree, which takes root; --generator=minimal does without`,
    );
  say(`making the initramfs with ${generator}`);
  const words = COMMANDS[generator](version, place);
  const running = execa('unshare', ['--mount', 'sh', '-c', ENTER, 'sh', root, ...words], {
    reject: false,
    stdin: 'ignore',
    extendEnv: false,
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: '/root',
      LC_ALL: 'C.UTF-8',
    },
  });
  // It works in a copy that goes away with us.
  const forget = onExit(() => running.kill('SIGKILL'));
  const ran = await running;
  forget();
  if (ran.failed) throw new SealtreeError('unsupported', `${generator}: ${failureOf(ran)}`);
  const made = tree.read(place, IMAGE_LIMIT);
  if (made === undefined) throw new SealtreeError('unsupported', `${generator} made no initramfs`);
  // Generators make it readable for root alone; what is in it is no secret, and bare-user repositories want to read it.
  tree.write(place, made.data, 0o644);
  return generator;
}

/** Behind what is there stands one archive more: the kernel unpacks it over the others. */
function withPolicy(file: ByteString, tree: RootTree): Uint8Array {
  const shown = displayByteString(file);
  const given = readFileLimited(file, shown, IMAGE_LIMIT);
  if (given === undefined) throw new SealtreeError('missing', `${shown}: No such file or directory`);
  const added = encodeCpio(policyMembers(tree));
  // Archives after the first begin at a multiple of four bytes.
  const start = given.length + (-given.length & 3);
  const out = new Uint8Array(start + added.length);
  out.set(given);
  out.set(added, start);
  return out;
}

function hasGenerator(root: ByteString, name: Generator): boolean {
  return FOLDERS.some((folder) => existsSync(join(root, folder, name)));
}
