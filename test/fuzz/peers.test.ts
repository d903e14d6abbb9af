/** 2,000 changed inputs that our decoders accept, held against what the real tools make of them. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { type ByteString, byteString, isUtf8 } from '../../src/core/bytes/byte-string.ts';
import { readDump } from '../../src/core/dumpfile/read.ts';
import { writeDump } from '../../src/core/dumpfile/write.ts';
import { memorySource } from '../../src/core/erofs/image-source.ts';
import { readImage } from '../../src/core/erofs/reader.ts';
import { writeImage } from '../../src/core/erofs/writer.ts';
import { byteswapped } from '../../src/core/gvariant/byteswap.ts';
import { parseVariant } from '../../src/core/gvariant/text-parse.ts';
import { printVariant } from '../../src/core/gvariant/text-print.ts';
import { decodeCommit, encodeCommit, type MetadataEntry } from '../../src/core/ostree/commit.ts';
import { attempt } from '../attempt.ts';
import { goldenArchive } from '../golden-repo.ts';
import { real, realCommand } from '../peers.ts';
import { requires } from '../requires.ts';
import { run } from '../run.ts';
import { type Outcome, runOstree } from './in-process.ts';
import type { Objects } from './memory-repo.ts';
import { addMutatedCommit, writeArchive } from './mutated-repo.ts';
import { FUZZ_SEED, makeRandom } from './random.ts';
import { dumpSeeds, imageSeeds, textSeeds } from './seeds.ts';
import { dumpTarget, imageTarget, textTarget } from './targets.ts';

/** SEALTREE_FUZZ_DIVISOR=10 compares a tenth. */
const DIVISOR = Number(process.env.SEALTREE_FUZZ_DIVISOR ?? 1);
const DUMPS = 850 / DIVISOR;
const IMAGES = 700 / DIVISOR;
const TEXTS = 250 / DIVISOR;
const COMMITS = 200 / DIVISOR;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtree-fuzz-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const { it } = requires({ peers: true });

it('dump files become the image that mkcomposefs makes', () => {
  const target = dumpTarget(dumpSeeds());
  const differences: string[] = [];
  let accepted = 0;
  let refused = 0;
  for (let index = 0; accepted < DUMPS; index++) {
    const dump = target.make(makeRandom(FUZZ_SEED, 100, index));
    const ours = attempt(() => {
      const chunks: Uint8Array[] = [];
      writeImage(readDump([dump]), undefined, (chunk) => chunks.push(chunk.slice()));
      return Buffer.concat(chunks);
    });
    // Of those that we refuse some are tried as well.
    if ('error' in ours && refused >= DUMPS / 4) continue;
    const path = join(folder, 'dump');
    const image = join(folder, 'image');
    writeFileSync(path, dump, 'latin1');
    rmSync(image, { force: true });
    const theirs = real('mkcomposefs', ['--from-file', path, image]);
    if ('error' in ours) {
      refused++;
      // mkcomposefs does not look whether a digest is one, and writes what was in its memory.
      if (theirs.status === 0 && !ours.error.startsWith('Invalid digest'))
        differences.push(`case ${index}: refused with "${ours.error}", mkcomposefs takes it`);
    } else {
      accepted++;
      if (theirs.status !== 0) differences.push(`case ${index}: accepted, mkcomposefs says ${theirs.stderr}`);
      else if (!readFileSync(image).equals(ours.value)) differences.push(`case ${index}: another image`);
    }
  }
  console.log(`fuzz seed ${FUZZ_SEED}: ${accepted} dumps compared, and ${refused} that are refused`);
  expect(differences).toEqual([]);
});

it('images are dumped as composefs-info dumps them', () => {
  const target = imageTarget(imageSeeds());
  const differences: string[] = [];
  let accepted = 0;
  for (let index = 0; accepted < IMAGES; index++) {
    const image = target.make(makeRandom(FUZZ_SEED, 101, index));
    const ours = attempt(() => {
      const text: ByteString[] = [];
      writeDump(readImage(memorySource(image)), (chunk) => text.push(chunk));
      return text.join('');
    });
    if ('error' in ours) continue;
    accepted++;
    const path = join(folder, 'image');
    writeFileSync(path, image);
    const theirs = real('composefs-info', ['dump', path], { timeout: 10_000 });
    if (theirs.status !== 0) {
      differences.push(`case ${index}: accepted, composefs-info says ${theirs.signal ?? theirs.stderr}`);
    } else if (!isSameDump(ours.value, theirs.stdout)) {
      differences.push(`case ${index}: ${firstDifference(ours.value, theirs.stdout)}`);
    }
  }
  console.log(`fuzz seed ${FUZZ_SEED}: ${accepted} images compared`);
  expect(differences).toEqual([]);
});

/**
 * Whether the dumps are the same, but for three faults of composefs-info: what is behind a payload's end is printed
 * with it, up to a zero; the second name of an added whiteout is a link that is made up of freed memory; and a
 * directory that is the root once more is a link to nothing.
 */
function isSameDump(ours: string, theirs: string): boolean {
  if (ours === theirs) return true;
  const isLink = (line: string) => line.split(' ')[2]?.startsWith('@') ?? false;
  const links = new Set(theirs.split('\n').filter(isLink));
  const wantedLinks = ours.split('\n').filter(isLink);
  const inodes = theirs.split('\n').filter((line) => !isLink(line));
  const wanted = ours.split('\n').filter((line) => !isLink(line));
  return (
    wantedLinks.every((line) => links.has(line) || links.has(line.replace(/ \/ - -/, '  - -'))) &&
    inodes.length === wanted.length &&
    inodes.every((line, at) => isSameLine(line.split(' '), (wanted[at] as string).split(' ')))
  );
}

function isSameLine(fields: readonly string[], wanted: readonly string[]): boolean {
  const isPayload = (i: number) => i === 8 && wanted[8] !== '';
  return fields.every(
    (field, i) => field === wanted[i] || (isPayload(i) && field.startsWith(wanted[8] ?? ' ')),
  );
}

it('texts become the metadata that ostree commits, and are printed as it prints them', () => {
  const target = textTarget(textSeeds());
  const texts: ByteString[] = [];
  for (let index = 0; texts.length < TEXTS; index++) {
    const text = target.make(makeRandom(FUZZ_SEED, 103, index));
    // The bytes of a word of a command line: no NUL, and UTF-8.
    if (!text.includes('\0') && isUtf8(text) && 'value' in attempt(() => parseVariant(text)))
      texts.push(text);
  }
  const repo = join(folder, 'texts');
  writeArchive(repo, new Map());
  mkdirSync(join(folder, 'tree'));
  const metadata = texts.map((text, i) => Buffer.from(`--add-metadata=k${i}=${text}`, 'latin1'));
  const options = ['--orphan', '--no-bindings', '--timestamp=@1', '--canonical-permissions'];
  const made = real('ostree', ['commit', `--repo=${repo}`, ...options, ...metadata, join(folder, 'tree')]);
  const checksum = made.stdout.trim();
  expect(made.stderr).toBe('');
  const path = join(repo, 'objects', checksum.slice(0, 2), `${checksum.slice(2)}.commit`);
  const commit = decodeCommit(readFileSync(path), checksum);
  expect(commit.metadata.length).toBe(texts.length);
  const ours = texts.map((text, i): MetadataEntry => [byteString(`k${i}`), parseVariant(text)]);
  expect(Buffer.from(encodeCommit({ ...commit, metadata: ours })).equals(readFileSync(path))).toBe(true);
  const commands = ours.map(([key]) => ['show', `--repo=${repo}`, `--print-metadata-key=${key}`, checksum]);
  const theirs = realOutcomes(commands).map(({ stdout }) => stdout);
  const printed = ours.map(([, { type, value }]) => {
    const swapped = byteswapped(type, value);
    return `${printVariant(type, swapped, { annotate: true })}\n`;
  });
  expect(printed).toEqual(theirs);
});

const TREES = ['basic', 'os', 'xattrs', 'unicode', 'perms', 'links'];

/** What we refuse wherever it is met; ostree, which trusts what is in a repository, reads it, or crashes on it. */
const REFUSED_BY_US = [
  /Not normal form/,
  /Incorrectly sorted filename/,
  /Duplicate filename/,
  /Invalid empty filename/,
  /a regular file has a symlink target/,
  /Invalid xattr name|Duplicate xattr name|Incorrectly sorted xattr name/,
  /Invalid mode \d+; invalid bits in mode/,
];

/** What ostree refuses in fsck alone, or nowhere if it is the size in the header of an archive object. */
const REFUSED_BY_FSCK = [
  /Empty metadata key/,
  /header says \d{16,} bytes of content/,
  /Invalid directory metadata mode/,
  /Invalid checksum of length/,
  /Invalid self-referential filename|Invalid path uplink filename|Invalid \/ in filename/,
];

/** What only our fsck looks at: no checksum covers it. */
const BEYOND_CHECKSUMS = [/header says \d+ bytes of content/, /bytes behind the end of the object/];

it('commits are shown, listed and checked as ostree does', async () => {
  const differences: string[] = [];
  const bases = TREES.map(goldenArchive);
  for (const [tree, base] of bases.entries()) {
    const objects = [...base].filter(([name]) => !name.endsWith('.commit'));
    writeArchive(join(folder, `repo-${tree}`), new Map(objects));
  }
  let accepted = 0;
  let compared = 0;
  for (let index = 0; accepted < COMMITS; index++) {
    const random = makeRandom(FUZZ_SEED, 102, index);
    const tree = index % TREES.length;
    const base = bases[tree] as Objects;
    const repo = join(folder, `repo-${tree}`);
    const commits = [...base.keys()].filter((name) => name.endsWith('.commit'));
    const objects: Objects = new Map(base);
    const { commit, changed } = addMutatedCommit(random, objects, random.pick(commits).slice(0, 64));
    const added: Objects = new Map([...objects].filter(([name, data]) => base.get(name) !== data));
    writeArchive(repo, added.set(`${commit}.commit`, objects.get(`${commit}.commit`) as Uint8Array));
    compared++;
    const commands = [
      ...(changed === 'commit' ? [['show', '--raw', commit]] : []),
      ['ls', '-R', '-C', '-X', commit],
      ['fsck', '--all', '--quiet'],
    ].map((words) => [...words, `--repo=${repo}`]);
    const theirs = realOutcomes(commands);
    let isAccepted = true;
    for (const [i, args] of commands.entries()) {
      const ours = await runOstree(args);
      if (ours.status !== 0) isAccepted = false;
      const allowed = [...REFUSED_BY_US, ...(args[0] === 'fsck' ? BEYOND_CHECKSUMS : REFUSED_BY_FSCK)];
      const difference = compareOutcomes(ours, theirs[i] as Outcome, allowed);
      if (difference !== undefined)
        differences.push(`case ${index} (${TREES[tree]} ${changed}) ${args[0]}: ${difference}`);
    }
    if (isAccepted) accepted++;
    for (const name of added.keys()) {
      const path = join(repo, 'objects', name.slice(0, 2), name.slice(2));
      const old = name.endsWith('.commit') ? undefined : base.get(name);
      if (old === undefined) rmSync(path);
      else writeFileSync(path, old);
    }
  }
  console.log(`fuzz seed ${FUZZ_SEED}: ${compared} commits compared, ${accepted} of them accepted`);
  expect(differences).toEqual([]);
});

/** Runs commands of the real ostree, all by one shell. */
function realOutcomes(commands: readonly (readonly string[])[]): Outcome[] {
  const script = commands.map((args, i) => {
    const words = realCommand('ostree', args).map((word) => `'${word}'`);
    return `timeout 20 ${words.join(' ')} >${folder}/${i}.out 2>${folder}/${i}.err; echo $? >${folder}/${i}.status`;
  });
  run(['bash', '-c', script.join('\n')]);
  const read = (name: string) => byteString(readFileSync(join(folder, name), 'latin1'));
  return commands.map((_, i) => ({
    stdout: read(`${i}.out`),
    stderr: byteString(read(`${i}.err`).replace(/^\n?\(.*-CRITICAL \*\*:.*\n/gm, '')),
    status: Number(read(`${i}.status`)),
  }));
}

/** @param allowed reasons for which we may refuse what ostree takes */
function compareOutcomes(ours: Outcome, theirs: Outcome, allowed: readonly RegExp[]): string | undefined {
  if (ours.status !== 0) {
    if (theirs.status !== 0 || allowed.some((pattern) => pattern.test(ours.stderr))) return undefined;
  } else if (theirs.status === 0 && ours.stdout === theirs.stdout && ours.stderr === theirs.stderr) {
    return undefined;
  }
  return `ours ${ours.status} ${ours.stderr.trim()}, theirs ${theirs.status} ${theirs.stderr.trim()}: ${firstDifference(ours.stdout, theirs.stdout)}`;
}

function firstDifference(ours: string, theirs: string): string {
  const a = ours.split('\n');
  const b = theirs.split('\n');
  const at = a.findIndex((line, i) => line !== b[i]);
  const line = at < 0 ? a.length : at;
  return `line ${line + 1}: ${JSON.stringify(a[line]?.slice(0, 300))} instead of ${JSON.stringify(b[line]?.slice(0, 300))}`;
}
