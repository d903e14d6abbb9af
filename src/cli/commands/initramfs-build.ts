/** `sealtree initramfs build`: compiles the program that verifies and mounts the root file system at boot. @module */
import { type ByteString, byteString, decodeUtf8, displayByteString } from '../../core/bytes/byte-string.ts';
import { buildProgram } from '../../initramfs/build.ts';
import { writeFileAtomically } from '../../node/atomic-file.ts';
import { absolutePath } from '../repository.ts';
import { usageError } from '../usage.ts';
import type { Context, Verb } from '../verb.ts';

const DEFAULT_OUTPUT = byteString('ostree-prepare-root');

export const verb: Verb = {
  tool: 'sealtree',
  path: ['initramfs', 'build'],
  summary: 'compile the program that verifies the root file system at boot',
  operands: '',
  options: [
    { flags: '-o, --output <file>', description: `where to write it (default ${DEFAULT_OUTPUT})` },
    {
      flags: '--build-root <directory>',
      description: 'compile inside this Debian root, which is made if it is not there',
    },
    { flags: '--cc <command>', description: 'C compiler to use, which may be one for another processor' },
    { flags: '--json', description: 'print size and checksum as JSON' },
  ],
  examples: [
    'sealtree initramfs build --output=ostree-prepare-root',
    'sealtree initramfs build --build-root=/var/cache/sealtree/build-root',
  ],
  description: [
    'The program is one static executable: the verifier, in TypeScript, compiled to the bytecode of QuickJS, and QuickJS. In an initramfs it stands in for ostree-prepare-root, with the same arguments; `sealtree initramfs install` puts it there.',
    'It is compiled with qjsc, libquickjs and the C compiler of this host, if they are there and what they make runs: Debian 13 and later, Fedora, Arch and Alpine have packages of both. Otherwise it is compiled inside a small Debian root that debootstrap makes once, as root, in /var/cache/sealtree/build-root (for other users ~/.cache/sealtree/build-root), or in --build-root, which passes over what the host has. Without either, one line says what to install.',
    'The same sealtree and the same compiler give the same bytes. Printed are the size and the SHA-256 of the file.',
  ],
  run,
};

async function run({ args, options, stdout, stderr }: Context): Promise<void> {
  if (args.length > 0) throw usageError('initramfs build takes no operands');
  const output = options.value('output') ?? DEFAULT_OUTPUT;
  const { executable, sha256, madeBy } = await buildProgram({
    buildRoot: textOf(options.value('build-root')),
    compiler: textOf(options.value('cc')),
    say: (text) => {
      stderr.line(`sealtree: ${text}`);
      stderr.flush();
    },
  });
  writeFileAtomically(absolutePath(output), executable, { mode: 0o755 });
  if (options.has('json')) {
    stdout.line(
      JSON.stringify(
        { path: displayByteString(output), size: executable.length, sha256, madeBy },
        undefined,
        2,
      ),
    );
  } else stdout.line(`${displayByteString(output)}: ${executable.length} bytes, sha256 ${sha256}`);
}

function textOf(value: ByteString | undefined): string | undefined {
  if (value === undefined) return undefined;
  const text = decodeUtf8(value);
  if (text === undefined) throw usageError(`${displayByteString(value)}: not UTF-8`);
  return text;
}
