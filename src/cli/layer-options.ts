/** What the verbs that make layers have in common, by whichever name they are called. @module */
import { type ByteString, displayByteString } from '../core/bytes/byte-string.ts';
import { parseUuid } from '../core/bytes/uuid.ts';
import { SealtreeError } from '../core/errors.ts';
import type { LayerFiles } from '../layer/layer-files.ts';
import { type ContainerImage, findImage } from '../oci/image.ts';
import { openStore } from '../oci/open-store.ts';
import { type Platform, parsePlatform } from '../oci/platform.ts';
import { optionError } from './usage.ts';
import type { OptionSpec, OptionValues } from './verb.ts';

/** Where an image comes from, and which of several it is. */
export interface ImageChoice {
  readonly tarball: ByteString | undefined;
  readonly docker: boolean;
  readonly image: ByteString | undefined;
  readonly platform: ByteString | undefined;
}

export const PLATFORM_OPTION: OptionSpec = {
  flags: '--platform <os/arch>',
  description: 'which image of several, as linux/arm64; by default linux/amd64, or the only one',
};

export const IMAGE_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '-t, --tarball <path>',
    description: 'archive of docker, podman or OCI tools, or folder of an OCI layout',
  },
  PLATFORM_OPTION,
];

export const UUID_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--uuid <uuid>',
    description: 'UUID of the superblock and id of the disks; by default others every time',
  },
  {
    flags: '--deterministic',
    description: 'take them from the root hash: the same layer gives the same files',
  },
];

export function imageChoice(options: OptionValues): ImageChoice {
  return {
    tarball: options.value('tarball'),
    docker: false,
    image: undefined,
    platform: options.value('platform'),
  };
}

/** The image, with what it came from open while `use` runs. */
export async function withImage<T>(
  choice: ImageChoice,
  use: (image: ContainerImage) => Promise<T>,
): Promise<T> {
  const platform = linuxPlatform(choice.platform);
  const { tarball, docker, image } = choice;
  if (docker && tarball !== undefined)
    throw optionError('cannot use both docker and tarball for image source');
  if (tarball === undefined && image === undefined)
    throw optionError('must provide -i/--image flag (not required only when using --tarball)');
  if (tarball === undefined)
    throw new SealtreeError(
      'unsupported',
      `${displayByteString(image as ByteString)}: only images in files can be read: save it with skopeo or docker, and use --tarball`,
    );
  const store = openStore(tarball);
  try {
    return await use(await findImage(store, platform));
  } finally {
    store.close();
  }
}

/**
 * The platform that is asked for.
 *
 * @throws SealtreeError `usage` with status 2 for any but Linux
 */
export function linuxPlatform(text: ByteString | undefined): Platform | undefined {
  if (text === undefined) return undefined;
  const platform = parsePlatform(displayByteString(text));
  if (platform.os === 'windows') throw windowsRefusal();
  if (platform.os !== 'linux')
    throw new SealtreeError('usage', `unsupported platform: ${displayByteString(text)}`, {
      help: 'no',
      status: 2,
    });
  return platform;
}

/** Layers of Windows need a library that only Windows has. */
export function windowsRefusal(): SealtreeError {
  return new SealtreeError(
    'unsupported',
    'windows layer hashing is only supported on Windows: use dmverity-vhd.exe on Windows Server 2025 or newer',
    { status: 2 },
  );
}

/** What `--uuid` and `--deterministic` ask for. @throws SealtreeError `usage` */
export function uuidChoice(options: OptionValues): LayerFiles['uuid'] {
  const text = options.value('uuid');
  if (text === undefined) return options.has('deterministic') ? 'content' : 'random';
  if (options.has('deterministic')) throw optionError('--uuid and --deterministic exclude each other');
  if (!/^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/.test(text))
    throw optionError(`--uuid: expected a UUID, found '${displayByteString(text)}'`);
  return parseUuid(text.toLowerCase());
}
