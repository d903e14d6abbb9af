// The whole path on a real tree, told with the commands that make it: what `npm start` shows.
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { execa, execaSync } from 'execa';
import { surveyTree } from './survey.mjs';

const BRANCH = 'tour';
const KEY = 'initramfs-root-binding.key';
/** ostree, and so sealtree, leaves 3 % of a file system free. */
const KEPT_FREE = 0.03;

/**
 * Seals a tree in a temporary folder, verifies and mounts it, damages it, shows the refusal, and removes the folder.
 *
 * @param root the clone
 * @param args the command line: the tree, default /usr/share
 * @returns the exit status
 */
export async function tour(root, args) {
  if (args.length > 1 || args[0]?.startsWith('-')) return refuse('usage: npm start [-- TREE]', 2);
  const tree = resolve(args[0] ?? '/usr/share');
  if (!existsSync(tree) || !statSync(tree).isDirectory()) return refuse(`${tree}: not a folder`, 2);

  say(`sealtree: the whole path on a real tree, ${tree}`);
  const places = [join(root, '.cache'), '/var/tmp', tmpdir()];
  let survey;
  try {
    survey = surveyTree(tree);
  } catch (error) {
    return refuse(error.message, 1);
  }
  tellSurvey(survey);
  const work = makeRoom(survey, places);
  if (work === undefined) return 1;
  const below = relative(tree, work);
  if (!below.startsWith('..')) survey.skipped.set('the folder of this tour', [`/${below}`]);
  const stage = new Stage(root, work);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const dieBy = (signal) => {
    for (const each of signals) process.off(each, dieBy);
    stage.clear();
    process.kill(process.pid, signal);
  };
  for (const signal of signals) process.on(signal, dieBy);
  try {
    await show(stage, tree, survey, work);
    say(`\nThat took ${Math.round(performance.now() / 1000)} seconds.`);
    return 0;
  } catch (error) {
    return refuse(`\nThe tour ends here: ${error.message}`, 1);
  } finally {
    stage.clear();
    for (const signal of signals) process.off(signal, dieBy);
  }
}

async function show(stage, tree, survey, work) {
  const isRoot = process.getuid() === 0;
  const mode = isRoot ? 'bare' : 'bare-user';

  stage.title('A repository that is meant for composefs');
  await stage.run(['init', '--repo=repo', `--mode=${mode}`]);
  await stage.run(['config', '--repo=repo', 'set', 'ex-integrity.composefs', 'true']);
  say(
    isRoot
      ? 'bare keeps every file as it is, with its owner, mode and attributes, so that it can be mounted.'
      : 'bare-user keeps owners, modes and attributes beside the files: only root could set them.',
  );

  stage.title('The tree, committed and signed by a key that lives only for this commit');
  const skip = [...survey.skipped.values()].flat();
  if (skip.length > 0) writeFileSync(join(work, 'skip-list'), `${skip.join('\n')}\n`, 'latin1');
  const skipList = skip.length > 0 ? ['--skip-list=skip-list'] : [];
  const commit = ['commit', '--repo=repo', `--branch=${BRANCH}`, `--tree=dir=${tree}`, ...skipList];
  commit.push('--generate-composefs-metadata', '--table-output', '--sign-fd=3');
  const table = await stage.run(['keys', 'transient', `--public=${KEY}`, '--', 'sealtree', ...commit]);
  const checksum = /^Commit: ([0-9a-f]{64})$/m.exec(table)?.[1];
  if (checksum === undefined) throw new Error('the commit printed no checksum');
  say(
    `${survey.entries.toLocaleString('en-US')} entries and ${size(survey.bytes)} were read. The commit is ${checksum}.`,
  );

  stage.title('What the commit says of itself');
  const digestKey = '--print-metadata-key=ostree.composefs.digest.v0';
  const digest = (await stage.run(['show', '--repo=repo', digestKey, '--print-hex', BRANCH])).trim();
  say('That is the fs-verity digest of the composefs image of this tree: it stands for every name, mode,');
  say('owner, attribute and byte. It is inside the commit, so the signature covers it.');
  await stage.run(['keys', 'show', KEY]);
  say('That is the public half of the key. The secret half was never written down, and is gone.');

  stage.title('Verified, trusting nothing but the public key');
  await stage.run(['verify', '--repo=repo', `--keys-file=${KEY}`, BRANCH]);
  say('Signature verified, and every object behind it read and compared.');

  await showMount(stage, tree, survey, digest, isRoot);
  await showRefusal(stage, survey, work);
}

/** Lays the image over the objects and reads a file through it. */
async function showMount(stage, tree, { sample }, digest, isRoot) {
  stage.title('Mounted: the image gives names and owners, the object store gives the bytes');
  if (!isRoot) return say('Left out: only root may mount. Try `sudo npm start`.');
  await stage.run(['checkout', '--repo=repo', '--composefs', BRANCH, 'image.cfs']);
  const sealed = (await stage.try(['fsverity', 'measure', 'image.cfs'])).status === 0;
  const options = ['basedir=repo/objects', 'ro', ...(sealed ? [`digest=${digest}`, 'verity'] : [])];
  say(
    sealed
      ? 'The kernel holds the image to that digest, and every file to its own.'
      : 'This file system or kernel has no fs-verity: the kernel will not check what it reads here.',
  );
  mkdirSync(join(stage.work, 'mnt'));
  const mount = await stage.try(['mount', '-o', options.join(','), 'image.cfs', 'mnt']);
  if (mount.status !== 0) return say('Left out: this machine does not let it be mounted.');
  stage.mounted = join(stage.work, 'mnt');
  if (sample === undefined) say('There is no file in this tree to read.');
  else {
    const through = readFileSync(join(stage.mounted, sample.path));
    const same = through.equals(readFileSync(join(tree, sample.path)));
    say(`$ cmp mnt${sample.path} ${join(tree, sample.path)}`);
    if (!same) throw new Error(`${sample.path} differs through the mount`);
    say(`The same ${count(through.length, 'byte', 'bytes')}.`);
  }
  await stage.run(['umount', 'mnt']);
  stage.mounted = undefined;
}

/** Changes one byte of one object, after which the verification must fail and name the file. */
async function showRefusal(stage, { sample }, work) {
  if (sample === undefined) return;
  stage.title('One byte of one object changed');
  const listed = await stage.run(['ls', '--repo=repo', '--checksum', BRANCH, sample.path]);
  const checksum = / ([0-9a-f]{64}) \//.exec(listed)?.[1];
  if (checksum === undefined) throw new Error(`ls printed no checksum of ${sample.path}`);
  const object = `repo/objects/${checksum.slice(0, 2)}/${checksum.slice(2)}.file`;
  flipByte(join(work, object), Math.floor(sample.size / 2));
  say(`Byte ${Math.floor(sample.size / 2)} of ${object} is another one now.`);
  const { status, stdout, stderr } = await stage.try(['verify', '--repo=repo', `--keys-file=${KEY}`, BRANCH]);
  if (status === 0) throw new Error('the damage was not found');
  if (!`${stdout}${stderr}`.includes(sample.path))
    throw new Error(`the refusal does not name ${sample.path}`);
  say(`Refused, with status ${status}, as it must be.`);
}

/** Changes one bit of a file; of a copy that takes its place, where fs-verity has sealed the file against that. */
function flipByte(path, at) {
  const { mode } = statSync(path);
  try {
    flipByteOf(path, at, mode);
  } catch (error) {
    if (error.code !== 'EPERM') throw error;
    execaSync('cp', ['-a', path, `${path}.changed`]);
    flipByteOf(`${path}.changed`, at, mode);
    renameSync(`${path}.changed`, path);
  }
}

function flipByteOf(path, at, mode) {
  chmodSync(path, mode | 0o200);
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at);
  byte[0] ^= 1;
  writeSync(file, byte, 0, 1, at);
  closeSync(file);
  chmodSync(path, mode);
}

/** Where the tour takes place: its folder, and the commands run in it, each printed before it runs. */
class Stage {
  /** A mount to be undone. */
  mounted;
  #number = 0;
  #child;
  #program;
  #ended = false;

  constructor(root, work) {
    this.work = work;
    mkdirSync(join(work, 'bin'));
    this.#program = join(work, 'bin/sealtree');
    symlinkSync(join(root, 'dist/sealtree.js'), this.#program);
  }

  title(text) {
    this.#number++;
    say(`\n${this.#number}. ${text}`);
  }

  /** Runs sealtree, which must succeed. @returns its standard output */
  async run(args) {
    const { status, stdout, stderr } = await this.try(args);
    if (status !== 0) throw new Error(`sealtree ${args[0]} failed with status ${status}\n${stderr}`);
    return stdout;
  }

  /** Runs sealtree, prints the command line and what it prints. */
  async try(args) {
    say(`$ sealtree ${args.map(quoted).join(' ')}`);
    const path = `${join(this.work, 'bin')}:${dirname(process.execPath)}:${process.env.PATH}`;
    this.#child = execa(this.#program, args, {
      cwd: this.work,
      env: { PATH: path },
      stdin: 'ignore',
      // On a terminal the commands show their progress themselves.
      stderr: process.stderr.isTTY ? 'inherit' : 'pipe',
      stripFinalNewline: false,
      reject: false,
    });
    indent(this.#child.stdout);
    if (this.#child.stderr) indent(this.#child.stderr);
    const { exitCode, signal, stdout, stderr, failed, originalMessage } = await this.#child;
    this.#child = undefined;
    if (failed && exitCode === undefined && signal === undefined) throw new Error(originalMessage);
    return { status: exitCode ?? signal, stdout, stderr: stderr ?? '' };
  }

  /** Stops what runs, undoes the mount and removes the folder. */
  clear() {
    if (this.#ended) return;
    this.#ended = true;
    this.#child?.kill('SIGTERM');
    if (this.mounted !== undefined) {
      execaSync(this.#program, ['umount', this.mounted], { reject: false });
    }
    say(`\nRemoving ${this.work} …`);
    rmSync(this.work, { recursive: true, force: true, maxRetries: 5 });
    say('Removed.');
  }
}

/** Prints what a program prints, indented, as it comes. */
function indent(stream) {
  let atStart = true;
  stream.setEncoding('utf8');
  stream.on('data', (text) => {
    process.stdout.write(`${atStart ? '    ' : ''}${text.replace(/\n(?=[\s\S])/g, '\n    ')}`);
    atStart = text.endsWith('\n');
  });
}

function tellSurvey({ entries, bytes, skipped }) {
  say(`${count(entries, 'entry', 'entries')}, ${size(bytes)} of files.`);
  for (const [reason, paths] of skipped) {
    const shown = paths.slice(0, 3).map((path) => quoted(Buffer.from(path, 'latin1').toString()));
    say(
      `Not taken, ${count(paths.length, 'path', 'paths')}: ${reason} (${shown.join(', ')}${paths.length > 3 ? ', …' : ''})`,
    );
  }
}

/** Makes a folder in the first place on whose file system the objects of the tree fit; says where, or why nowhere. */
function makeRoom({ entries, space }, places) {
  const refused = [];
  for (const place of places) {
    try {
      mkdirSync(place, { recursive: true });
      const { bavail, bsize, blocks, files, ffree } = statfsSync(place);
      const free = bavail * bsize - KEPT_FREE * blocks * bsize;
      if (free > space * 1.05 && (files === 0 || ffree > entries * 1.1)) {
        const work = mkdtempSync(join(place, 'sealtree-tour-'));
        say(`It takes place in ${work}, where ${size(bavail * bsize)} are free.`);
        return work;
      }
      refused.push(`${place} has ${size(bavail * bsize)} free`);
    } catch (error) {
      refused.push(`${place}: ${error.message}`);
    }
  }
  refuse(
    `No room for ${size(space)}: ${refused.join('; ')}.\nTry a smaller tree: npm start -- /path/to/tree`,
    1,
  );
  return undefined;
}

function say(text) {
  process.stdout.write(`${text}\n`);
}

function refuse(text, status) {
  process.stderr.write(`${text}\n`);
  return status;
}

function quoted(word) {
  return /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function count(number, one, many) {
  return `${number.toLocaleString('en-US')} ${number === 1 ? one : many}`;
}

function size(bytes) {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const unit = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  return `${unit === 0 ? bytes : (bytes / 1024 ** unit).toFixed(1)} ${units[unit]}`;
}
