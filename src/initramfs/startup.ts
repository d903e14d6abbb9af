/**
 * What starts the boot program in an initramfs, under which conditions, and what happens if it is not started: by the
 * units of systemd, by the scripts of initramfs-tools or mkinitcpio, or as `/init` itself.
 * @module
 */
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../core/bytes/byte-string.ts';
import type { Sealed } from '../core/conf/sealed.ts';
import { identifyProgram } from './program.ts';
import type { RootFileSystem } from './root-file-system.ts';
import { loadUnit, type Unit } from './units.ts';

export interface Start {
  readonly by: 'systemd' | 'initramfs-tools' | 'mkinitcpio' | 'init';
  /** The unit or script. */
  readonly path: string;
  /** Whether anything calls it. */
  readonly enabled: boolean;
  /** The unit is one that can never be started. */
  readonly masked: boolean;
  /** Units that want or require it; for scripts the list that they stand in. */
  readonly enabledBy: readonly string[];
  /** `ConditionKernelCommandLine=ostree`: without it the unit is passed over, which counts as success. */
  readonly conditions: readonly string[];
  /** Whether the system is started if the unit is passed over for a condition. */
  readonly skippingLeadsOn: boolean;
  /** Whether the system is started if a kernel argument masks the unit. */
  readonly maskingLeadsOn: boolean;
  /** Whether a failed boot ends in a shell. */
  readonly shell: boolean;
}

export const PROGRAM_PATH = byteString('/usr/lib/ostree/ostree-prepare-root');
/** What the kernel starts: the program itself, in an initramfs with nothing else in it. */
export const INIT_PATH = byteString('/init');

const UNIT = 'ostree-prepare-root.service';
/** Left by the program when all is mounted. */
const TOKENS = ['/run/ostree-booted'];
/** Holds in every initramfs. */
const ALWAYS = 'ConditionPathExists=/etc/initrd-release';
/** What may pull the unit in on the way to the new root. */
const PULLING = [
  'initrd-root-fs.target',
  'initrd.target',
  'initrd-fs.target',
  'initrd-switch-root.target',
  'initrd-switch-root.service',
  'sysinit.target',
  'basic.target',
];
/** Nothing leads into the new root but through these two. */
const GATES = ['initrd-root-fs.target', 'initrd-switch-root.service'];
const SCRIPT_LIMIT = 64 * 1024;

/**
 * Everything that starts the boot program; empty if nothing does.
 *
 * @param refusal what the sealed file says; undefined if there is none, or none that can be followed
 */
export function findStarts(root: RootFileSystem, refusal: Sealed['refusal'] | undefined): Start[] {
  return [
    systemdStart(root),
    initramfsToolsStart(root),
    mkinitcpioStart(root, refusal),
    initStart(root, refusal),
  ].filter((start) => start !== undefined);
}

function systemdStart(root: RootFileSystem): Start | undefined {
  const unit = loadUnit(root, UNIT);
  if (unit === undefined) return undefined;
  const gates = GATES.map((name) => loadUnit(root, name));
  const guarded = gates.some((gate) => gate !== 'masked' && gate !== undefined && asksForToken(gate));
  const required = gates.some(
    (gate) => gate !== 'masked' && gate !== undefined && gate.names('Requires').includes(byteString(UNIT)),
  );
  const enabledBy = PULLING.filter((name) => {
    const pulling = loadUnit(root, name);
    if (pulling === undefined || pulling === 'masked') return false;
    return [...pulling.names('Wants'), ...pulling.names('Requires')].includes(byteString(UNIT));
  });
  const emergency = loadUnit(root, 'emergency.service');
  return {
    by: 'systemd',
    path: unit === 'masked' ? UNIT : displayByteString(unit.path),
    enabled: enabledBy.length > 0,
    masked: unit === 'masked',
    enabledBy,
    conditions:
      unit === 'masked'
        ? []
        : unit
            .conditions('Condition')
            .map(({ key, value }) => `${key}=${displayByteString(value)}`)
            .filter((condition) => condition !== ALWAYS),
    skippingLeadsOn: !guarded,
    maskingLeadsOn: !guarded && !required,
    shell: emergency !== undefined && emergency !== 'masked' && !powersOff(emergency),
  };
}

function asksForToken(gate: Unit): boolean {
  return gate
    .conditions('Assert')
    .some(({ key, value }) => key === 'AssertPathExists' && TOKENS.includes(value));
}

function powersOff(unit: Unit): boolean {
  return ['SuccessAction', 'FailureAction'].every((key) =>
    unit.values('Unit', key).at(-1)?.startsWith('poweroff'),
  );
}

/** A script that calls the program counts if the list that init runs has it. */
function initramfsToolsStart(root: RootFileSystem): Start | undefined {
  const callers = ['/scripts/init-bottom', '/scripts/local-bottom'].flatMap((folder) =>
    (root.list(byteString(folder)) ?? [])
      .filter((name) => name !== 'ORDER' && calls(root, byteString(`${folder}/${name}`)))
      .map((name) => ({ folder, name })),
  );
  const [first] = callers;
  if (first === undefined) return undefined;
  const isListed = ({ folder, name }: { folder: string; name: string }) =>
    textAt(root, `${folder}/ORDER`)
      .split('\n')
      .some((line) => line.split(/\s/)[0] === `${folder}/${name}`);
  const listed = callers.filter(isListed);
  const { folder, name } = listed[0] ?? first;
  return {
    ...scriptStart,
    by: 'initramfs-tools',
    path: `${folder}/${name}`,
    enabled: listed.length > 0,
    enabledBy: listed.map((caller) => `${caller.folder}/ORDER`),
    shell: !(root.list(byteString('/scripts/panic')) ?? []).includes(byteString('sealtree')),
  };
}

function mkinitcpioStart(root: RootFileSystem, refusal: Sealed['refusal'] | undefined): Start | undefined {
  const name = (root.list(byteString('/hooks')) ?? []).find((hook) =>
    calls(root, byteString(`/hooks/${hook}`)),
  );
  if (name === undefined) return undefined;
  const hooks = /^LATEHOOKS=["']?([^"'\n]*)/m.exec(textAt(root, '/config'))?.[1] ?? '';
  const enabled = hooks.split(/\s+/).includes(name);
  return {
    ...scriptStart,
    by: 'mkinitcpio',
    path: `/hooks/${displayByteString(name)}`,
    enabled,
    enabledBy: enabled ? ['/config: LATEHOOKS'] : [],
    shell: refusal !== 'poweroff',
  };
}

function initStart(root: RootFileSystem, refusal: Sealed['refusal'] | undefined): Start | undefined {
  const init = root.file(INIT_PATH);
  if (init === undefined || identifyProgram(init.data)?.kind !== 'sealtree') return undefined;
  return {
    ...scriptStart,
    by: 'init',
    path: '/init',
    enabled: true,
    enabledBy: ['the kernel'],
    shell: refusal === 'shell',
  };
}

/** Scripts of ours end only when all is well, and no kernel argument takes one out of its list. */
const scriptStart = {
  masked: false,
  conditions: [],
  skippingLeadsOn: false,
  maskingLeadsOn: false,
} as const;

function calls(root: RootFileSystem, path: ByteString): boolean {
  const file = root.file(path);
  return file !== undefined && byteStringFrom(file.data.subarray(0, SCRIPT_LIMIT)).includes(PROGRAM_PATH);
}

function textAt(root: RootFileSystem, path: string): string {
  const file = root.file(byteString(path));
  return file === undefined ? '' : byteStringFrom(file.data.subarray(0, SCRIPT_LIMIT));
}
