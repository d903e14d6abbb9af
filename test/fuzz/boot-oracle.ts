/**
 * Whether a mount plan may come out of a boot, decided anew and simply: texts are searched for lines, signatures are
 * checked by Node's own crypto wherever they stand in the file. It says no reason why a boot must not be refused;
 * it says which ones may not be planned.
 * @module
 */
import { createHash, type KeyObject, verify } from 'node:crypto';
import { decodeCommit } from '../../src/core/ostree/commit.ts';
import type { BootDecision } from '../../src/core/verify/boot-decision.ts';
import { bootJson, bootLine, refusalLines } from '../../src/core/verify/explain-boot.ts';
import type { MountPlan, MountStep } from '../../src/core/verify/plan.ts';
import { type Found, pathFinder } from '../memory-system.ts';
import type { BootCase } from './boot-cases.ts';
import { publicKeyObject } from './sealed-targets.ts';

const MODES = ['no', 'maybe', 'yes', 'verity', 'signed'];
const COMPOSEFS_ARGUMENT = 'ostree.prepare-root.composefs=';
const VERITY_FILE_SYSTEMS = [0xef53, 0x9123683e, 0xf2f52010];
/** Words that lead around any verified root. */
const WEAKENING = /^(init=|rd\.break|single$|(rd\.)?systemd\.(mask|unit)=)/;

/** Where a boot has what it goes by. */
export interface BootPlaces {
  /** Root of the tree with prepare-root.conf. */
  readonly config: string;
  readonly sealed: string;
  /** Where the image is mounted. */
  readonly root: string;
  /** The deployment, where it is not the kernel arguments that name it. */
  readonly deployment: string | undefined;
}

export const BOOT_PLACES: BootPlaces = {
  config: '',
  sealed: '/usr/lib/sealtree/sealed.conf',
  root: '/sysroot.tmp',
  deployment: undefined,
};

/** @throws Error what should not have come out */
export function judgeDecision(boot: BootCase, decision: BootDecision, places = BOOT_PLACES): void {
  const { plan, refusal } = decision;
  judgeTexts(decision);
  must((plan === undefined) === (refusal !== undefined), 'either a plan or a refusal');
  if (refusal !== undefined) {
    must(refusal.message !== '', 'a refusal without words');
    must(
      decision.checks.some(({ status }) => status === 'failed'),
      'a refusal without a failed check',
    );
  }
  if (plan === undefined) return;
  must(
    decision.checks.every(({ status }) => status !== 'failed'),
    'a plan in spite of a failed check',
  );
  judgePlan(boot, plan, decision, places);
}

/** What is printed is lines, without anything that a terminal obeys. */
function judgeTexts(decision: BootDecision): void {
  const { checks, warnings, notices, unsigned } = decision;
  const texts = [
    ...checks.flatMap(({ message, expected = '', found = '' }) => [message, expected, found]),
    ...warnings,
    ...notices,
    ...unsigned.map(({ path }) => path),
    ...(decision.refusal === undefined ? [bootLine(decision)] : refusalLines(decision)),
  ];
  for (const text of texts)
    must(!/[\x00-\x1f\x7f-\x9f]/.test(text), `a control character in ${JSON.stringify(text)}`);
  must(JSON.stringify(bootJson(decision)) !== '', 'no JSON');
}

interface Texts {
  readonly find: (path: string) => Found | undefined;
  readonly config: Lines;
  readonly vendor: Lines | undefined;
  readonly sealed: Lines | undefined;
}

function judgePlan(boot: BootCase, plan: MountPlan, decision: BootDecision, places: BootPlaces): void {
  const follow = pathFinder(boot.tree);
  const find = (path: string) => follow(path, true);
  const text = (path: string) => {
    const data = find(path)?.node.data;
    return data === undefined ? undefined : scan(Buffer.from(data).toString('latin1'));
  };
  const vendor = text(`${places.config}/usr/lib/ostree/prepare-root.conf`);
  const own = text(`${places.config}/etc/ostree/prepare-root.conf`);
  const texts: Texts = {
    find,
    config: own ?? vendor ?? new Map(),
    vendor: own === undefined ? undefined : vendor,
    sealed: text(places.sealed),
  };
  judgeWrites(plan);
  const deployment = judgeTarget(boot, plan, texts, places);
  const mode = judgeMode(boot, plan, texts);
  if (texts.sealed !== undefined) judgeSealed(boot, texts.sealed, texts, mode);
  if (mode === 'signed' || decision.policy?.signed === true)
    judgeSigned(boot, plan, texts, { ...places, deployment });
}

/** Nothing is written to the disk, and nothing is made outside of what is gone after this boot. */
function judgeWrites({ steps }: MountPlan): void {
  for (const step of steps) {
    const path = writtenBy(step);
    must(
      path === undefined || path === '/sysroot.tmp' || /^\/(run|sysroot\.tmp)\//.test(path),
      `writes to ${path}`,
    );
    must(path === undefined || !path.split('/').includes('..'), `writes to ${path}`);
  }
}

function writtenBy(step: MountStep): string | undefined {
  switch (step.step) {
    case 'create directory':
    case 'create temporary directory':
    case 'remove directory':
    case 'write dictionary':
    case 'link to device':
    case 'write file':
      return step.path;
    default:
      return undefined;
  }
}

/** What is planned is the deployment that the kernel arguments name. @returns its directory */
function judgeTarget(
  { cmdline }: BootCase,
  { steps }: MountPlan,
  { find, sealed }: Texts,
  { deployment }: BootPlaces,
): string {
  const first = steps.find((step) => step.step === 'change directory');
  const directory = first?.step === 'change directory' ? first.path : '';
  const found = find(directory);
  must(found?.path === directory, `${directory} is no real path`);
  if (deployment !== undefined) {
    must(directory === deployment, `${directory} is another deployment`);
    return directory;
  }
  const words = cmdline.split(' ');
  const value = (key: string) => words.find((word) => word.startsWith(key))?.slice(key.length);
  const slot = value('androidboot.slot_suffix=');
  const android = words.some((word) => word.startsWith('androidboot.'));
  const named = slot === '_b' ? '/ostree/root.b' : android ? '/ostree/root.a' : value('ostree=');
  if (named === undefined) must(sealed !== undefined, 'no argument names a deployment');
  else {
    const root = find('/sysroot')?.path;
    must(find(`${root}/${named}`)?.path === directory, `${named} does not lead to ${directory}`);
  }
  return directory;
}

/** @returns the mode that holds */
function judgeMode(boot: BootCase, { steps }: MountPlan, { config, vendor, sealed }: Texts): string {
  const argument = boot.cmdline
    .split(' ')
    .find((word) => word.startsWith(COMPOSEFS_ARGUMENT))
    ?.slice(COMPOSEFS_ARGUMENT.length);
  const configured = modeOf(config.get('composefs.enabled') ?? 'no');
  let mode = configured;
  if (argument !== undefined) {
    mode = modeOf(argument);
    // An argument has no word for verity: what is verified stays so.
    if (mode === 'yes' && configured === 'verity') mode = 'verity';
    must(configured !== 'signed' || mode === 'signed', 'an argument takes the signature away');
  }
  if (vendor !== undefined && modeOf(vendor.get('composefs.enabled') ?? 'no') === 'signed')
    must(configured === 'signed', 'a configuration that is signed was replaced by one that is not');
  if (sealed !== undefined) {
    const least = sealed.get('sealed.mode') ?? 'signed';
    must(MODES.indexOf(mode) >= MODES.indexOf(least), `${mode}, the sealed file says ${least}`);
    must(MODES.indexOf(mode) >= MODES.indexOf(configured), 'an argument lowers the mode');
  }
  const images = steps.filter(({ step }) => step === 'mount image');
  if (mode === 'no') must(images.length === 0, 'an image although there is to be none');
  else if (mode !== 'maybe') must(images.length === 1, 'no image');
  if (mode === 'verity' || mode === 'signed') {
    const overlays = steps.filter((step) => step.step === 'mount overlay' && step.composefs);
    must(
      overlays.length === 1 && overlays.every((step) => step.step === 'mount overlay' && step.verity),
      'an overlay that does not demand verity',
    );
  }
  return mode;
}

function modeOf(value: string): string {
  if (value === 'true' || value === '1') return 'yes';
  return MODES.includes(value) ? value : 'no';
}

function judgeSealed(boot: BootCase, sealed: Lines, { config }: Texts, mode: string): void {
  const words = boot.cmdline.split(/\s+/).filter((word) => word !== '');
  const others = words.filter((word) => !/^ostree(\.prepare-root\.composefs)?=/.test(word));
  const allowed = sealed.get('sealed.arguments')?.split(';');
  for (const word of others) {
    if (allowed === undefined) must(!WEAKENING.test(word), `sealed, and ${word} is passed over`);
    else
      must(
        allowed
          .map((entry) => entry.trim())
          .some((entry) => (entry.endsWith('*') ? word.startsWith(entry.slice(0, -1)) : word === entry)),
        `${word} is not allowed`,
      );
  }
  const transient = /^(true|1)$/.test(config.get('etc.transient') ?? '');
  must(transient || sealed.get('etc.unsigned') === 'allow', 'sealed, with an /etc that nothing signs');
  must(boot.facts.initramfs || mode === '', 'sealed, and not started from an initramfs');
}

function judgeSigned(
  boot: BootCase,
  { steps }: MountPlan,
  texts: Texts,
  { deployment = '', root: mounted }: BootPlaces,
): void {
  const { find } = texts;
  must(boot.facts.initramfs, 'signed means nothing without an initramfs');
  const root = find('/sysroot')?.path ?? '';
  const place = deployment.slice(root.length);
  const checksum = /^\/ostree\/deploy\/[^/]+\/deploy\/([0-9a-f]{64})\.[^/]*$/.exec(place)?.[1];
  must(deployment.startsWith(root) && checksum !== undefined, `${place} is no place of a deployment`);
  const images = steps.filter((step) => step.step === 'mount image');
  must(images.length === 1, `${images.length} images`);
  const [image] = images as [Extract<MountStep, { step: 'mount image' }>];
  must(image.image === `${deployment}/.ostree.cfs`, `${image.image} is not the deployment's`);
  for (const step of steps) {
    must(step.step !== 'bind' || step.at !== mounted, 'the directory itself is mounted');
    must(step.step !== 'mount overlay' || step.at !== `${mounted}/usr`, 'a hotfix over a signed /usr');
  }
  const { digest = '' } = image;
  must(/^[0-9a-f]{64}$/.test(digest), 'an image without a digest');
  judgeVouching(texts, root, checksum as string, digest);
  const { node, fileSystem } = find(image.image) as Found;
  must(node.kind === 'file', `the image is a ${node.kind}`);
  must(
    node.verity === digest && (node.algorithm ?? 'sha256') === 'sha256' && node.enforced !== false,
    'the kernel does not measure the digest',
  );
  must(VERITY_FILE_SYSTEMS.includes(fileSystem), 'the image lies where the kernel does not answer');
  const objects = find(`${root}/ostree/repo/objects`);
  must(
    objects === undefined || VERITY_FILE_SYSTEMS.includes(objects.fileSystem),
    'objects lie where the kernel does not answer',
  );
  judgeKernel(boot);
}

/** That the commit has its name, that a trusted key signed it or its parent, and that this one names the image. */
function judgeVouching(texts: Texts, root: string, checksum: string, digest: string): void {
  const { find, config, sealed } = texts;
  const object = (name: string, type: string) =>
    find(`${root}/ostree/repo/objects/${name.slice(0, 2)}/${name.slice(2)}.${type}`)?.node.data;
  const named = (name: string): Uint8Array => {
    const data = object(name, 'commit');
    must(data !== undefined, `no commit ${name}`);
    const found = createHash('sha256')
      .update(data as Uint8Array)
      .digest('hex');
    must(found === name, `commit ${name} is ${found}`);
    return data as Uint8Array;
  };
  let data = named(checksum);
  let detached = object(checksum, 'commitmeta');
  if (detached === undefined) {
    const { parent = '' } = decodeCommit(data, checksum);
    data = named(parent);
    detached = object(parent, 'commitmeta');
  }
  const keys = trustedKeys(texts);
  must(
    keys.some((key) => holdsSignature(key, data, detached ?? new Uint8Array(0))),
    'no trusted key signed it',
  );
  must(Buffer.from(data).includes(Buffer.from(digest, 'hex')), 'the signed commit does not name the image');
  if (sealed === undefined) return;
  for (const lines of [sealed, config]) {
    const least = lines.get('composefs.minimum-timestamp') ?? '';
    const seconds = /^@?\d+$/.test(least) ? Number(least.replace('@', '')) : Date.parse(least) / 1000;
    must(
      least === '' || Number.isNaN(seconds) || Number(decodeCommit(data, checksum).timestamp) >= seconds,
      `older than ${least}`,
    );
    for (const entry of lines.get('composefs.require-metadata')?.split(';') ?? []) {
      for (const part of entry.trim().split('='))
        must(Buffer.from(data).includes(part, 'latin1'), `no ${entry} in the commit`);
    }
  }
}

function trustedKeys({ find, config, sealed }: Texts): KeyObject[] {
  const revoked = keysIn((sealed?.get('keys.revoked') ?? '').split(';'));
  let words = keysIn(sealed?.get('keys.trusted')?.split(';') ?? []);
  if (words.length === 0) {
    const path = config.get('composefs.keypath') ?? config.get('composefs.keyfile');
    const data = find(path ?? '/etc/ostree/initramfs-root-binding.key')?.node.data ?? new Uint8Array(0);
    words = Buffer.from(data)
      .toString('latin1')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'));
    must(keysIn(words).length === words.length, 'a line of the key file is no key');
  }
  return keysIn(words)
    .filter((key) => !revoked.includes(key))
    .map((key) => keyObject(key));
}

function keysIn(words: readonly string[]): string[] {
  return words.map((word) => word.trim()).filter((word) => /^[A-Za-z0-9+/]{43}=$/.test(word));
}

const known = new Map<string, KeyObject>();

function keyObject(base64: string): KeyObject {
  const key = known.get(base64) ?? publicKeyObject(Buffer.from(base64, 'base64'));
  known.set(base64, key);
  return key;
}

/** Whether a signature of the data stands somewhere in the file; values of GVariants begin at multiples of 8. */
function holdsSignature(key: KeyObject, data: Uint8Array, detached: Uint8Array): boolean {
  for (let at = 0; at + 64 <= detached.length; at += 8) {
    if (verify(null, data, key, detached.subarray(at, at + 64))) return true;
  }
  return false;
}

function judgeKernel({ facts: { kernel } }: BootCase): void {
  const release = /^(\d+)\.(\d+)/.exec(kernel?.release ?? '');
  const features = kernel?.features ?? {};
  const old = release !== null && Number(release[1]) * 1000 + Math.min(Number(release[2]), 999) < 6006;
  must(!old || features['overlay verity'] === true, `kernel ${kernel?.release} has no verity=require`);
  for (const name of ['erofs', 'overlay', 'overlay verity', 'fs-verity'] as const)
    must(features[name] !== false, `the kernel has no ${name}`);
}

/** Values by `group.key`; the last one counts. */
type Lines = Map<string, string>;

function scan(text: string): Lines {
  const lines: Lines = new Map();
  let group = '';
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line.startsWith('#')) continue;
    if (line.startsWith('[') && line.endsWith(']')) group = line.slice(1, -1);
    const equals = line.indexOf('=');
    if (equals > 0) lines.set(`${group}.${line.slice(0, equals).trim()}`, line.slice(equals + 1).trim());
  }
  return lines;
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}
