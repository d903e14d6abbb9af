/**
 * The mount plan: everything that is done between a decision and a root file system, as data. `sealtree verify`
 * prints it; the initramfs carries it out step by step. Nothing here touches the machine.
 *
 * Steps and their order: ostree-prepare-root 2026.4.
 * @module
 */
import { type ByteString, byteString } from '../bytes/byte-string.ts';
import type { PrepareRoot } from '../conf/prepare-root.ts';
import { SealtreeError } from '../errors.ts';

export interface MountPlan {
  readonly steps: readonly MountStep[];
}

/** A step, and the file without which it is passed over. */
export type MountStep = Step & { readonly onlyIf?: ByteString };

type Step =
  | {
      readonly step: 'create directory';
      readonly path: ByteString;
      readonly mode: number;
      /** Whether one that is there already is all right, and missing parents are made. */
      readonly existing: boolean;
    }
  /** A new directory for this boot; further steps name it by `path`, whose last six characters are replaced. */
  | { readonly step: 'create temporary directory'; readonly path: ByteString; readonly mode: number }
  | { readonly step: 'change directory'; readonly path: ByteString }
  | {
      readonly step: 'set propagation';
      readonly path: ByteString;
      readonly propagation: 'private' | 'slave' | 'shared';
      readonly recursive: boolean;
    }
  | {
      readonly step: 'mount image';
      /** The image's file, or the commit whose image it is. */
      readonly image: ByteString;
      /** fs-verity digest that the kernel must measure of the open file; undefined for any image. */
      readonly digest: string | undefined;
      readonly at: ByteString;
    }
  | {
      readonly step: 'mount overlay';
      readonly source: ByteString;
      readonly lower: readonly ByteString[];
      /** Directories that only serve the content of files. */
      readonly data: readonly ByteString[];
      /** Where changes go, and overlayfs's own directory beside it. */
      readonly upper: ByteString | undefined;
      readonly work: ByteString | undefined;
      /** `redirect_dir=on,metacopy=on`, and with `verity` `verity=require`. */
      readonly composefs: boolean;
      readonly verity: boolean;
      readonly readonly: boolean;
      readonly at: ByteString;
    }
  | { readonly step: 'bind'; readonly from: ByteString; readonly at: ByteString }
  | { readonly step: 'remount'; readonly path: ByteString; readonly readonly: boolean }
  | { readonly step: 'unmount'; readonly path: ByteString }
  | { readonly step: 'move mount'; readonly from: ByteString; readonly to: ByteString }
  | { readonly step: 'remove directory'; readonly path: ByteString }
  /** `path` becomes a link to `/dev/block/MAJOR:MINOR` of the disk that `of` is on; failing is no error. */
  | { readonly step: 'link to device'; readonly path: ByteString; readonly of: ByteString }
  /** The whole content of a small file; what is there is replaced. */
  | {
      readonly step: 'write file';
      readonly path: ByteString;
      readonly data: ByteString;
      readonly mode: number;
    }
  /** A GVariant `a{sv}`, entries in this order. */
  | {
      readonly step: 'write dictionary';
      readonly path: ByteString;
      readonly entries: readonly BootedEntry[];
    };

/** An entry of /run/ostree-booted. */
export type BootedEntry = { readonly key: string } & (
  | { readonly type: 'b'; readonly value: boolean }
  | { readonly type: 's'; readonly value: ByteString }
  /** `(tt)`: device and inode of a directory, known when the step is carried out. */
  | { readonly type: '(tt)'; readonly inodeOf: ByteString }
);

/** Where an image is mounted, and where its overlay. */
export interface ImagePlaces {
  readonly image: ByteString;
  readonly digest: string | undefined;
  readonly verity: boolean;
  /** Directories with the backing files. */
  readonly data: readonly ByteString[];
  readonly lower: ByteString;
  readonly at: ByteString;
  readonly readonly: boolean;
  readonly upper?: ByteString | undefined;
  readonly work?: ByteString | undefined;
}

/** The steps that mount one image. */
export function planImage(places: ImagePlaces): MountPlan {
  const { image, digest, verity, data, lower, at, readonly, upper, work } = places;
  return {
    steps: [
      { step: 'mount image', image, digest, at: lower },
      {
        step: 'mount overlay',
        source: byteString('composefs'),
        lower: [lower],
        data,
        upper,
        work,
        composefs: true,
        verity,
        readonly,
        at,
      },
      { step: 'unmount', path: lower },
    ],
  };
}

/** What a plan for a whole boot is made of, besides the decision. */
export interface BootPlanFacts {
  readonly config: PrepareRoot;
  /** Where the disk is mounted in the initramfs: `/sysroot`. */
  readonly sysroot: ByteString;
  /** The deployment's directory below it: `/ostree/deploy/OS/deploy/CHECKSUM.0`. */
  readonly deployment: ByteString;
  /** Whether the deployment has an image. */
  readonly hasImage: boolean;
  /** What the signed commit says of it; undefined where no signature is demanded. */
  readonly digest: string | undefined;
  /** Whether the deployment has been unlocked with a hotfix: `.usr-ovl-work` is there. */
  readonly hotfix: boolean;
  /** `sysroot.readonly` in the repository's config, which counts only without composefs. */
  readonly legacyReadonly: boolean;
  /** Whether the disk is mounted writable, which a hotfix follows. */
  readonly sysrootWritable: boolean;
  /** Text of the sealed file that is kept for a soft reboot; undefined if the initramfs is not sealed. */
  readonly sealedFile: ByteString | undefined;
  /** Whether no kernel argument names the deployment. Then ostree's generator will not find /var either. */
  readonly unnamed: boolean;
}

const TEMPORARY_ROOT = '/sysroot.tmp';
const PRIVATE = '/run/ostree/.private';
/** Where the sealed file of a sealed boot is kept: a soft reboot is held against it. */
export const KEPT_SEALED_PATH = byteString('/run/ostree/sealed.conf');

const TRANSIENT_ETC = '/run/ostree/transient-etc.XXXXXX';

/**
 * The steps of a boot, from the moment the deployment is known.
 *
 * @throws SealtreeError `missing` if the configuration asks for an image and there is none, or for a transient
 *   root without one
 */
export function planBoot(facts: BootPlanFacts): MountPlan {
  const { config, sysroot, hotfix } = facts;
  const { enabled, verity, signed } = config.composefs;
  if (enabled === 'yes' && !facts.hasImage)
    throw new SealtreeError('missing', 'composefs: failed to mount: No such file or directory');
  const composefs = enabled !== 'no' && facts.hasImage;
  if (config.root.transient && !composefs)
    throw new SealtreeError('missing', 'Must enable composefs with root.transient');
  const deployment = path(sysroot, facts.deployment);
  const readonly = config.sysrootReadonly ?? enabled === 'yes';
  const sysrootReadonly = readonly || (enabled !== 'yes' && facts.legacyReadonly);
  const booted = firstEntries(config, deployment);
  const steps: MountStep[] = [
    directory('/run/ostree', 0o755, false),
    directory(PRIVATE, 0, false),
    ...(facts.sealedFile === undefined ? [] : [keepSealedFile(facts.sealedFile)]),
    { step: 'set propagation', path: path('/'), propagation: 'private', recursive: true },
    directory(TEMPORARY_ROOT, 0o755, true),
    { step: 'change directory', path: deployment },
  ];
  if (composefs) {
    steps.push(...composefsSteps(facts, deployment, path(TEMPORARY_ROOT)), volatileRoot(sysroot));
    booted.push(...composefsEntries(config.composefs.keypath, signed, verity));
  } else {
    // As ostree does before it looks whether there is an image.
    if (enabled === 'maybe') steps.push(directory(path(PRIVATE, '/cfsroot-lower'), 0o700, true));
    steps.push({ step: 'bind', from: deployment, at: path(TEMPORARY_ROOT) });
  }
  booted.push({ key: 'sysroot-ro', type: 'b', value: sysrootReadonly });
  if (sysrootReadonly || composefs) steps.push(...etcSteps(config, booted, path(TEMPORARY_ROOT)));
  steps.push(...usrSteps(hotfix && !(composefs && signed), composefs, facts.sysrootWritable));
  steps.push(...sysrootSteps(facts, sysrootReadonly));
  steps.push({ step: 'write dictionary', path: path('/run/ostree-booted'), entries: booted });
  steps.push({ step: 'move mount', from: path(TEMPORARY_ROOT), to: sysroot });
  steps.push({ step: 'change directory', path: sysroot });
  steps.push({ step: 'remove directory', path: path(TEMPORARY_ROOT) });
  if (sysrootReadonly) steps.push({ step: 'remount', path: path(sysroot, '/sysroot'), readonly: true });
  return { steps };
}

/** What a plan for a soft reboot is made of. */
export interface NextRootFacts extends Pick<BootPlanFacts, 'config' | 'sysroot' | 'deployment' | 'digest'> {
  /** Whether /boot of the disk has the boot loader's entries, and the deployment a place for it. */
  readonly boot: boolean;
}

const NEXT_ROOT = '/run/nextroot';

/** The steps of a soft reboot: the next root is made ready at /run/nextroot while the system runs. */
export function planNextRoot(facts: NextRootFacts): MountPlan {
  const { config, sysroot } = facts;
  const { verity, signed } = config.composefs;
  const deployment = path(sysroot, facts.deployment);
  const booted: BootedEntry[] = [
    ...firstEntries(config, deployment),
    ...composefsEntries(config.composefs.keypath, signed, verity),
  ];
  const next = path(NEXT_ROOT);
  const etc = etcSteps(config, booted, next);
  booted.push({ key: 'sysroot-ro', type: 'b', value: true });
  const inside = path(NEXT_ROOT, '/sysroot');
  return {
    steps: [
      directory(NEXT_ROOT, 0o755, true),
      // A mount of its own, so that systemd can still unmount the one that runs.
      { step: 'bind', from: sysroot, at: sysroot },
      { step: 'change directory', path: deployment },
      ...composefsSteps(facts, deployment, next),
      ...(facts.boot
        ? ([{ step: 'bind', from: path(sysroot, '/boot'), at: path(NEXT_ROOT, '/boot') }] as const)
        : []),
      ...etc,
      { step: 'unmount', path: sysroot },
      { step: 'change directory', path: deployment },
      { step: 'bind', from: sysroot, at: inside },
      { step: 'remount', path: inside, readonly: true },
      { step: 'write dictionary', path: path('/run/ostree/nextroot-booted'), entries: booted },
    ],
  };
}

function firstEntries({ root }: PrepareRoot, deployment: ByteString): BootedEntry[] {
  return [
    { key: 'backing-root-device-inode', type: '(tt)', inodeOf: deployment },
    { key: 'root.transient', type: 'b', value: root.transient },
    { key: 'root.transient-ro', type: 'b', value: root.readonly },
  ];
}

function composefsEntries(keypath: ByteString, signed: boolean, verity: boolean): BootedEntry[] {
  return [
    ...(signed ? [{ key: 'composefs.signed', type: 's', value: keypath } as const] : []),
    { key: 'composefs', type: 'b', value: true },
    { key: 'composefs.verity', type: 'b', value: verity },
  ];
}

function composefsSteps(
  { config, sysroot, digest }: Pick<BootPlanFacts, 'config' | 'sysroot' | 'digest'>,
  deployment: ByteString,
  at: ByteString,
): MountStep[] {
  const { transient, readonly } = config.root;
  const lower = path(PRIVATE, '/cfsroot-lower');
  const upper = transient ? path(PRIVATE, '/root/upper') : undefined;
  const work = transient ? path(PRIVATE, '/root/work') : undefined;
  const steps: MountStep[] = [directory(lower, 0o700, true)];
  if (upper !== undefined) steps.push(directory(upper, 0o755, true));
  if (work !== undefined) steps.push(directory(work, 0o700, true));
  const mounted = planImage({
    image: path(deployment, '/.ostree.cfs'),
    digest,
    verity: config.composefs.verity,
    data: [path(sysroot, '/ostree/repo/objects')],
    lower,
    at,
    readonly: !transient || readonly,
    upper,
    work,
  });
  return [...steps, ...mounted.steps];
}

function volatileRoot(sysroot: ByteString): MountStep {
  return { step: 'link to device', path: path('/run/systemd/volatile-root'), of: sysroot };
}

function etcSteps(config: PrepareRoot, booted: BootedEntry[], root: ByteString): MountStep[] {
  const at = path(root, '/etc');
  if (!config.etcTransient) {
    return [
      { step: 'bind', from: path('etc'), at },
      { step: 'remount', path: at, readonly: false },
    ];
  }
  const upper = path(TRANSIENT_ETC, '/upper');
  const work = path(TRANSIENT_ETC, '/work');
  booted.push({ key: 'transient-etc', type: 's', value: path(TRANSIENT_ETC) });
  return [
    { step: 'create temporary directory', path: path(TRANSIENT_ETC), mode: 0o700 },
    directory(upper, 0o755, false),
    directory(work, 0o755, false),
    plainOverlay(path(root, '/usr/etc'), upper, work, at, false),
  ];
}

function usrSteps(hotfix: boolean, composefs: boolean, writable: boolean): MountStep[] {
  const at = path(TEMPORARY_ROOT, '/usr');
  if (hotfix) return [plainOverlay(at, path('.usr-ovl-upper'), path('.usr-ovl-work'), at, !writable)];
  if (composefs) return [];
  return [
    { step: 'bind', from: at, at },
    { step: 'remount', path: at, readonly: true },
  ];
}

function sysrootSteps(
  { sysroot, deployment, unnamed }: BootPlanFacts,
  sysrootReadonly: boolean,
): MountStep[] {
  const at = path(TEMPORARY_ROOT, '/sysroot');
  const variable = path('../../var');
  const target = path(TEMPORARY_ROOT, '/var');
  const asked = unnamed ? {} : { onlyIf: path('/run/ostree/initramfs-mount-var') };
  return [
    { step: 'bind', from: sysroot, at },
    { step: 'unmount', path: sysroot },
    { step: 'change directory', path: path(at, deployment) },
    ...(sysrootReadonly
      ? ([
          { step: 'bind', from: variable, at: variable },
          { step: 'remount', path: variable, readonly: false },
        ] as const)
      : []),
    { step: 'bind', from: variable, at: target, ...asked },
    { step: 'set propagation', path: target, propagation: 'slave', recursive: false, ...asked },
    { step: 'set propagation', path: target, propagation: 'shared', recursive: false, ...asked },
  ];
}

function keepSealedFile(data: ByteString): MountStep {
  return { step: 'write file', path: KEPT_SEALED_PATH, data, mode: 0o644 };
}

function plainOverlay(
  lower: ByteString,
  upper: ByteString,
  work: ByteString,
  at: ByteString,
  readonly: boolean,
): MountStep {
  return {
    step: 'mount overlay',
    source: byteString('overlay'),
    lower: [lower],
    data: [],
    upper,
    work,
    composefs: false,
    verity: false,
    readonly,
    at,
  };
}

function directory(at: string, mode: number, existing: boolean): MountStep {
  return { step: 'create directory', path: path(at), mode, existing };
}

function path(...parts: string[]): ByteString {
  return byteString(parts.join(''));
}
