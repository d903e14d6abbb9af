/** dmverity-vhd with its own commands, flags and output. @module */
import { type ByteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { prefixed, SealtreeError } from '../../core/errors.ts';
import { MAX_CONVERTED_SIZE } from '../../core/layer/tar-to-ext4.ts';
import { convertTar, createFromTar, createLayers, hashTar, rootHashes } from '../../layer/image-layers.ts';
import { printCreated } from '../created-layers.ts';
import {
  commandText,
  DMVERITY_COMMANDS,
  type DmverityCommand,
  GLOBAL_FLAGS,
  HELP_FLAG,
  programText,
} from '../dmverity-vhd.ts';
import { type GoCommandLine, parseGoFlags } from '../go-flags.ts';
import { type ImageChoice, linuxPlatform, uuidChoice, windowsRefusal, withImage } from '../layer-options.ts';
import type { Output } from '../output.ts';
import { startProfile } from '../profile.ts';
import { optionError } from '../usage.ts';
import type { Context, OptionValues, Verb } from '../verb.ts';
import { versionText } from '../version.ts';

export const verb: Verb = {
  tool: 'dmverity-vhd',
  path: ['dmverity-vhd'],
  summary: 'hash and write the layers of container images',
  operands: '[GLOBAL OPTION…] create|roothash|hashlayer|tar2hashed|help',
  options: [],
  examples: [
    'dmverity-vhd --tarball image.tar roothash',
    'dmverity-vhd --tarball image.tar create -o layers --platform linux/amd64',
    'dmverity-vhd hashlayer -t layer.tar.gz',
    'dmverity-vhd tar2hashed -i layer.tar -o layer.ext4 -t ext4',
  ],
  description: [
    'Commands, flags and output of microsoft/integrity-vhd: flags with one dash or two, a value behind `=` or a space. `dmverity-vhd help COMMAND` lists those of a command.',
    'Other than there: an error is one (tar2hashed too), leaves no file and gives a status that is not 0; hash devices are named after diff ids; a layer may be in an image twice; --platform chooses; digests are checked; --uuid and --deterministic fix what is random.',
    'Layers of Windows can be hashed on Windows only, and are refused.',
  ],
  run,
};

/** No command of that name. */
const NO_TOPIC_STATUS = 3;

interface Call {
  readonly global: OptionValues;
  readonly options: OptionValues;
  readonly stdout: Output;
}

const ACTIONS: Readonly<Record<string, (call: Call) => Promise<void>>> = {
  create,
  roothash,
  hashlayer,
  tar2hashed,
};

async function run({ args, stdout, stderr }: Context): Promise<void> {
  const { options: global, rest } = parsed(GLOBAL_FLAGS, args, true, stdout, programText);
  const [name, ...words] = rest;
  if (global.has('version')) {
    stdout.text(versionText('dmverity-vhd'));
    return;
  }
  if (global.has('help') || name === undefined || name === 'help' || name === 'h') {
    stdout.text(helpText(name === 'help' || name === 'h' ? words[0] : undefined));
    return;
  }
  const command = commandNamed(name);
  const { options } = parsed([...command.flags, HELP_FLAG], words, false, stdout, () => commandText(command));
  if (options.has('help')) {
    stdout.text(commandText(command));
    return;
  }
  checkRequired(command, options, stdout);
  const stopProfile = await startProfile(global.value('profiler'));
  log(global, stderr, 'debug', `${name} called`);
  try {
    await ACTIONS[command.name]?.({ global, options, stdout });
    log(global, stderr, 'debug', `${name} done`);
  } catch (error) {
    throw inPeersWords(error);
  } finally {
    await stopProfile();
  }
}

// ---- commands

async function create({ global, options, stdout }: Call): Promise<void> {
  const directory = required(options, 'out-dir');
  const files = { directory, separate: options.has('hash-dev-vhd'), uuid: uuidChoice(options) };
  const choice = imageChoice(global, options);
  if (!options.has('data-vhd')) {
    printCreated(stdout, 'Layer', await withImage(choice, (image) => createLayers(image, files)));
    return;
  }
  linuxPlatform(choice.platform);
  if (choice.image === undefined)
    throw optionError('must provide -i/--image flag (not required only when using --tarball)');
  try {
    printCreated(stdout, 'Directory', [await createFromTar(choice.image, files)]);
  } catch (error) {
    throw prefixed(`failed to create VHD from directory ${displayByteString(choice.image)}`, error);
  }
}

async function roothash({ global, options, stdout }: Call): Promise<void> {
  const layers = await withImage(imageChoice(global, options), rootHashes);
  stdout.line(JSON.stringify({ layers }, undefined, 2));
}

async function hashlayer({ options, stdout }: Call): Promise<void> {
  linuxPlatform(options.value('platform'));
  stdout.line(await hashTar(required(options, 'input')));
}

async function tar2hashed({ options }: Call): Promise<void> {
  const type: string = required(options, 'type');
  if (type === 'cim') throw windowsRefusal();
  if (type !== 'ext4') throw optionError('type must be either cim or ext4');
  const uuid = uuidChoice(options);
  await convertTar(required(options, 'input'), required(options, 'output'), {
    maxSize: MAX_CONVERTED_SIZE,
    uuid,
  });
}

function imageChoice(global: OptionValues, options: OptionValues): ImageChoice {
  return {
    tarball: global.value('tarball'),
    docker: global.has('docker'),
    image: options.value('input'),
    platform: options.value('platform'),
  };
}

// ---- the command line

function parsed(
  flags: Parameters<typeof parseGoFlags>[0],
  words: readonly ByteString[],
  stopAtOperand: boolean,
  stdout: Output,
  help: () => string,
): GoCommandLine {
  try {
    return parseGoFlags(flags, words, stopAtOperand);
  } catch (error) {
    stdout.text(`Incorrect Usage: ${(error as Error).message}\n\n${help()}`);
    throw error;
  }
}

function commandNamed(name: ByteString): DmverityCommand {
  const command = DMVERITY_COMMANDS.find((known) => known.name === name);
  if (command !== undefined) return command;
  throw new SealtreeError('usage', `No help topic for '${displayByteString(name)}'`, {
    help: 'no',
    status: NO_TOPIC_STATUS,
  });
}

function helpText(topic: ByteString | undefined): string {
  return topic === undefined ? programText() : commandText(commandNamed(topic));
}

function checkRequired(command: DmverityCommand, options: OptionValues, stdout: Output): void {
  const missing = command.flags.filter(
    ({ names, isRequired }) => isRequired === true && !options.has(names[0]),
  );
  if (missing.length === 0) return;
  stdout.text(commandText(command));
  const names = missing.map(({ names: [known] }) => known).join(', ');
  throw optionError(
    missing.length === 1 ? `Required flag "${names}" not set` : `Required flags "${names}" not set`,
  );
}

function required(options: OptionValues, name: string): ByteString {
  return options.value(name) as ByteString;
}

// ---- messages

function inPeersWords(error: unknown): unknown {
  if (!(error instanceof SealtreeError) || typeof error.detail.layers !== 'string') return error;
  return prefixed(`missing root hashes for layers: [${error.detail.layers}]`, error);
}

/** A line as logrus writes it where no terminal is. */
function log(global: OptionValues, stderr: Output, level: string, message: string): void {
  if (!global.has('verbose') && !global.has('trace')) return;
  const time = new Date().toISOString().replace(/\.\d+/, '');
  stderr.line(`time="${time}" level=${level} msg=${JSON.stringify(message)}`);
}
