/** A unified kernel image: kernel, initramfs and kernel arguments as one file that firmware can check, by `ukify`. @module */
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { execa } from 'execa';
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { temporaryName } from '../node/atomic-file.ts';
import { fsPath } from '../node/fs-path.ts';
import { failureOf } from '../node/program-failure.ts';
import { forgetTemporary, registerTemporary } from '../node/temporary.ts';

export interface UkiRequest {
  /** The tree, as it was committed. */
  readonly root: ByteString;
  readonly version: ByteString;
  readonly cmdline: ByteString;
  readonly output: ByteString;
  /** Key and certificate in PEM, by which firmware with Secure Boot on knows it. */
  readonly secureBoot: { readonly key: ByteString; readonly certificate: ByteString } | undefined;
}

/** Names of the program in which the image starts, by the architecture as Node calls it. */
const STUBS: Readonly<Record<string, string>> = {
  x64: 'linuxx64.efi.stub',
  ia32: 'linuxia32.efi.stub',
  arm64: 'linuxaa64.efi.stub',
  arm: 'linuxarm.efi.stub',
  riscv64: 'linuxriscv64.efi.stub',
};

/** @throws SealtreeError `unsupported`: what to install, or what ukify says */
export async function makeUki({ root, version, cmdline, output, secureBoot }: UkiRequest): Promise<void> {
  const modules = join(root, 'usr/lib/modules', version);
  // The stub of the tree that is sealed, where it has one.
  const stub = join(root, 'usr/lib/systemd/boot/efi', STUBS[process.arch] ?? '');
  const temporary = temporaryName(output);
  const words = [
    'build',
    `--linux=${modules}/vmlinuz`,
    `--initrd=${modules}/initramfs.img`,
    `--cmdline=${cmdline}`,
    `--uname=${version}`,
    `--os-release=@${osRelease(root)}`,
    `--output=${temporary}`,
    ...(existsSync(stub) ? [`--stub=${stub}`] : []),
    ...(secureBoot === undefined
      ? []
      : [`--secureboot-private-key=${secureBoot.key}`, `--secureboot-certificate=${secureBoot.certificate}`]),
  ];
  registerTemporary(temporary);
  try {
    const ran = await execa('ukify', words, { reject: false, stdin: 'ignore' });
    if (ran.failed && ran.code === 'ENOENT')
      throw new SealtreeError('unsupported', '--uki: ukify is not here: install systemd-ukify');
    if (ran.failed)
      throw new SealtreeError('unsupported', `${displayByteString(output)}: ukify: ${failureOf(ran)}`);
    renameSync(fsPath(temporary), fsPath(output));
  } finally {
    forgetTemporary(temporary);
  }
}

function osRelease(root: ByteString): string {
  const [etc, usr] = [join(root, 'usr/etc/os-release'), join(root, 'usr/lib/os-release')];
  return existsSync(usr) ? usr : etc;
}
