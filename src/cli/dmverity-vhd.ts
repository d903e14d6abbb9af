/**
 * What dmverity-vhd takes, as data, and its help texts.
 * Names and texts: microsoft/integrity-vhd, cmd/dmverity-vhd; their form: urfave/cli v1.
 * @module
 */
import type { GoFlag } from './go-flags.ts';

export interface DmverityCommand {
  readonly name: string;
  readonly usage: string;
  readonly flags: readonly GoFlag[];
}

const SUMMARY =
  'dmverity-vhd is a command line tool for creating LCOW layer VHDs with dm-verity hashes and WCOW layer integrity checked CIMs.';

export const HELP_FLAG: GoFlag = { names: ['help', 'h'], takesValue: false, description: 'show help' };

export const GLOBAL_FLAGS: readonly GoFlag[] = [
  { names: ['verbose', 'v'], takesValue: false, description: 'Optional: verbose output' },
  { names: ['trace', 'vv'], takesValue: false, description: 'Optional: trace output' },
  { names: ['docker', 'd'], takesValue: false, description: 'Optional: use local docker daemon' },
  {
    names: ['tarball', 't'],
    takesValue: true,
    description: 'Optional: path to tarball containing image info',
  },
  {
    names: ['buffered-reader', 'b'],
    takesValue: false,
    description: 'Optional: use buffered opener for image',
  },
  {
    names: ['profiler'],
    takesValue: true,
    description: 'Optional: profile and put the results in this file',
  },
  {
    names: ['debug-skip-version-check'],
    takesValue: false,
    description:
      'Optional: DEBUG ONLY - skip Windows version check (allows running on pre-WS2025 with warnings)',
  },
  HELP_FLAG,
  { names: ['version'], takesValue: false, description: 'print the version' },
];

const IMAGE: GoFlag = {
  names: ['input', 'image', 'i'],
  takesValue: true,
  description: 'Container image reference (not required only when using --tarball)',
};
const USERNAME: GoFlag = {
  names: ['username', 'u'],
  takesValue: true,
  description: 'Optional: custom registry username',
};
const PASSWORD: GoFlag = {
  names: ['password', 'p'],
  takesValue: true,
  description: 'Optional: custom registry password',
};
const PLATFORM: GoFlag = {
  names: ['platform'],
  takesValue: true,
  description: 'Optional: the image platform',
  fallback: 'linux/amd64',
};
const TAR = 'Required: path to layer tar';
/** Of sealtree alone: they fix what is random in the files of the real tool. */
const UUIDS: readonly GoFlag[] = [
  {
    names: ['uuid'],
    takesValue: true,
    isOwn: true,
    description: 'UUID of the superblock and id of the disks',
  },
  { names: ['deterministic'], takesValue: false, isOwn: true, description: 'take them from the root hash' },
];

export const DMVERITY_COMMANDS: readonly DmverityCommand[] = [
  {
    name: 'create',
    usage:
      'Create layer VHDs inside the output directory with dm-verity superblock and merkle tree appended at the end (Linux) or CIM integrity (Windows)',
    flags: [
      IMAGE,
      {
        names: ['out-dir', 'o'],
        takesValue: true,
        isRequired: true,
        description: 'Required: output directory path',
      },
      USERNAME,
      PASSWORD,
      PLATFORM,
      {
        names: ['hash-dev-vhd', 'hdv'],
        takesValue: false,
        description: 'Optional: save hash-device as a VHD',
      },
      {
        names: ['data-vhd', 'dir'],
        takesValue: false,
        description: 'Optional: save directory tarfile as a VHD',
      },
      ...UUIDS,
    ],
  },
  {
    name: 'roothash',
    usage: 'Compute root hashes for each layer',
    flags: [IMAGE, USERNAME, PASSWORD, PLATFORM],
  },
  {
    name: 'hashlayer',
    usage: 'compute root hashes for each LCOW layer VHD',
    flags: [{ names: ['input', 't'], takesValue: true, isRequired: true, description: TAR }, PLATFORM],
  },
  {
    name: 'tar2hashed',
    usage: 'convert from tar to integrity protected ext4fs or CIMfs',
    flags: [
      { names: ['input', 'i'], takesValue: true, isRequired: true, description: TAR },
      {
        names: ['output', 'o'],
        takesValue: true,
        isRequired: true,
        description: 'Required: path to resulting file',
      },
      {
        names: ['type', 't'],
        takesValue: true,
        isRequired: true,
        description: 'Required: output image type, cim or ext4',
      },
      ...UUIDS,
    ],
  },
];

/** What `help` prints. */
export function programText(): string {
  const commands = [
    ...DMVERITY_COMMANDS.map(({ name, usage }): [string, string] => [name, usage]),
    ['help, h', 'Shows a list of commands or help for one command'] as [string, string],
  ];
  return [
    `NAME:\n   dmverity-vhd - ${SUMMARY}\n`,
    'USAGE:\n   dmverity-vhd [global options] command [command options] [arguments...]\n',
    'VERSION:\n   0.0.0\n',
    `COMMANDS:\n${columns(commands)}`,
    `GLOBAL OPTIONS:\n${columns(GLOBAL_FLAGS.map(flagRow))}`,
  ].join('\n');
}

/** What `help COMMAND` prints. */
export function commandText({ name, usage, flags }: DmverityCommand): string {
  return [
    `NAME:\n   dmverity-vhd ${name} - ${usage}\n`,
    `USAGE:\n   dmverity-vhd ${name} [command options] [arguments...]\n`,
    `OPTIONS:\n${columns(flags.map(flagRow))}   \n`,
  ].join('\n');
}

function flagRow({ names, takesValue, description, fallback, isOwn }: GoFlag): [string, string] {
  const value = takesValue ? ' value' : '';
  const left = names.map((name) => `${name.length === 1 ? '-' : '--'}${name}${value}`).join(', ');
  const text = fallback === undefined ? description : `${description} (default: "${fallback}")`;
  return [left, isOwn === true ? `${text} (sealtree only)` : text];
}

function columns(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, right]) => `   ${left.padEnd(width)}${right}\n`).join('');
}
