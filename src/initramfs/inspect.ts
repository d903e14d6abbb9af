/**
 * What an initramfs would enforce, as data: read by the same code that decides at boot. explain-inspection.ts puts it
 * in words.
 * @module
 */
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../core/bytes/byte-string.ts';
import { BINDING_KEY_PATH, loadPrepareRoot, type Mode, modeOf } from '../core/conf/prepare-root.ts';
import { loadSealed, SEALED_PATH, type Sealed } from '../core/conf/sealed.ts';
import { SealtreeError } from '../core/errors.ts';
import { parseBindingKeys } from '../core/sign/binding-keys.ts';
import type { System } from '../core/system.ts';
import { type BootPolicy, judgeEtc, loadBootPolicy } from '../core/verify/boot-policy.ts';
import { makeJudge } from '../core/verify/fault.ts';
import { type Archive, type Decompress, unpack } from './archives.ts';
import { identifyProgram, type Program } from './program.ts';
import { type RootFileSystem, systemOf } from './root-file-system.ts';
import { findStarts, INIT_PATH, PROGRAM_PATH, type Start } from './startup.ts';
import { initramfsOfUki, isPortableExecutable } from './uki.ts';

/** A file with public keys, or what is wrong with it. */
export interface KeySource {
  readonly path: string;
  /** Hexadecimal, in order. */
  readonly keys: readonly string[];
  readonly problem: string | undefined;
  /** Whether signatures by these keys count: a sealed file with keys takes the place of the key file. */
  readonly counts: boolean;
}

export interface Inspection {
  /** The section of a unified kernel image; undefined for an initramfs on its own. */
  readonly section: string | undefined;
  /** Kernel arguments that were taken into account. */
  readonly cmdline: string;
  readonly archives: readonly Archive[];
  readonly program: (Program & { readonly path: string; readonly size: number }) | undefined;
  readonly starts: readonly Start[];
  readonly sealed: boolean;
  /** What follows on a refusal; undefined if the initramfs is not sealed. */
  readonly refusal: Sealed['refusal'] | undefined;
  /** The kernel arguments that the sealed file allows. */
  readonly allowedArguments: readonly string[] | undefined;
  /** The configuration in force, and the one that it replaced. */
  readonly configuration: string | undefined;
  readonly replaced: string | undefined;
  /** undefined if the configuration cannot be read. */
  readonly mode: Mode | undefined;
  readonly minimumMode: Mode | undefined;
  readonly etcTransient: boolean | undefined;
  readonly rootTransient: boolean | undefined;
  readonly keySources: readonly KeySource[];
  /** Hexadecimal. */
  readonly revokedKeys: readonly string[];
  readonly minimumTimestamp: number | undefined;
  readonly requiredMetadata: readonly string[];
  /** Why every boot is refused; undefined if none is for what stands in the initramfs. */
  readonly refusesAll: string | undefined;
  readonly warnings: readonly string[];
}

const KEY_FILE_LIMIT = 64 * 1024;

/**
 * Inspects a file: an initramfs, or a unified kernel image with one or several.
 *
 * @param cmdline kernel arguments in place of those of a unified kernel image
 * @throws SealtreeError `malformed`, `unsupported`: see `unpack`
 */
export function inspectImage(
  image: Uint8Array,
  decompress: Decompress,
  cmdline: ByteString | undefined,
): Inspection[] {
  if (!isPortableExecutable(image)) {
    const { archives, root } = unpack(image, decompress);
    return [inspectRoot(root, archives, cmdline ?? byteString(''), undefined)];
  }
  return initramfsOfUki(image).map((found) => {
    const { archives, root } = unpack(found.data, decompress);
    return inspectRoot(root, archives, cmdline ?? found.cmdline ?? byteString(''), found.name);
  });
}

function inspectRoot(
  root: RootFileSystem,
  archives: readonly Archive[],
  cmdline: ByteString,
  section: string | undefined,
): Inspection {
  const system = systemOf(root);
  const empty = byteString('');
  const judge = makeJudge();
  const faults: string[] = [];
  const tried = <Result>(read: () => Result): Result | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof SealtreeError)) throw error;
      if (!faults.includes(error.message)) faults.push(error.message);
      return undefined;
    }
  };
  const sealed = tried(() => loadSealed(system, empty));
  const loaded = tried(() => loadPrepareRoot(system, empty));
  const policy: BootPolicy | undefined =
    faults.length > 0
      ? undefined
      : tried(() =>
          loadBootPolicy(system, { config: empty, keys: empty, cmdline, given: undefined }, sealed, judge),
        );
  if (policy !== undefined) tried(() => judgeEtc(policy, judge));
  const config = policy?.config ?? loaded?.config;
  const program = programOf(root);
  const starts = findStarts(root, sealed?.refusal);
  return {
    section,
    cmdline: displayByteString(cmdline),
    archives,
    program,
    starts,
    sealed: root.find(SEALED_PATH) !== undefined,
    refusal: sealed?.refusal,
    allowedArguments: sealed?.arguments?.map(displayByteString),
    configuration: loaded?.path === undefined ? undefined : displayByteString(loaded.path),
    replaced: loaded?.replaced === undefined ? undefined : displayByteString(loaded.replaced.path),
    mode: policy?.mode ?? (config === undefined ? undefined : modeOf(config)),
    minimumMode: sealed?.mode,
    etcTransient: config?.etcTransient,
    rootTransient: config?.root.transient,
    keySources: keySourcesOf(system, sealed, config?.composefs.keypath ?? BINDING_KEY_PATH),
    revokedKeys: sealed?.revoked.map(({ hex }) => hex) ?? [],
    minimumTimestamp:
      policy?.demands.minimumTimestamp === undefined ? undefined : Number(policy.demands.minimumTimestamp),
    requiredMetadata: (policy?.demands.metadata ?? []).map(({ key, value }) =>
      displayByteString(byteString(`${key}=${value}`)),
    ),
    refusesAll: faults[0],
    warnings: [...judge.warnings, ...startWarnings(program, starts, sealed !== undefined)],
  };
}

function programOf(root: RootFileSystem): Inspection['program'] {
  const found = [PROGRAM_PATH, INIT_PATH].map((path) => ({ path, file: root.file(path) }));
  for (const { path, file } of found) {
    const program = file === undefined ? undefined : identifyProgram(file.data);
    if (file === undefined || (path === INIT_PATH && program?.kind !== 'sealtree')) continue;
    const { kind, version } = program ?? { kind: 'other', version: undefined };
    return { kind, version, path: displayByteString(path), size: file.data.length };
  }
  return undefined;
}

function keySourcesOf(system: System, sealed: Sealed | undefined, keypath: ByteString): KeySource[] {
  const own = sealed?.trusted.map(({ hex }) => hex) ?? [];
  const sources: KeySource[] = [];
  if (own.length > 0)
    sources.push({ path: displayByteString(SEALED_PATH), keys: own, problem: undefined, counts: true });
  const path = displayByteString(keypath);
  const counts = own.length === 0;
  try {
    const data = system.readFile(keypath, KEY_FILE_LIMIT);
    if (data === undefined) return sources;
    const keys = parseBindingKeys(byteStringFrom(data), keypath).map(({ hex }) => hex);
    sources.push({ path, keys, problem: undefined, counts });
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    sources.push({ path, keys: [], problem: error.message, counts });
  }
  return sources;
}

/** What keeps the policy from being enforced at all. */
function startWarnings(program: Inspection['program'], starts: readonly Start[], sealed: boolean): string[] {
  const warnings: string[] = [];
  if (program === undefined) return [`nothing is enforced: there is no ${displayByteString(PROGRAM_PATH)}`];
  if (program.kind === 'ostree')
    warnings.push(
      `the program is ostree's own: it knows no sealed file, and lets kernel arguments lower the mode`,
    );
  if (program.kind === 'other')
    warnings.push(
      `${program.path} is neither sealtree's program nor ostree's: what it enforces is not known`,
    );
  if (!starts.some(({ enabled, masked }) => enabled && !masked))
    warnings.push('nothing is enforced: nothing starts the program');
  for (const start of starts) {
    if (start.masked) warnings.push(`${start.path} is masked: it is never started`);
    if (!start.enabled || start.masked) continue;
    if (start.skippingLeadsOn && start.conditions.length > 0)
      warnings.push(
        `without ${start.conditions.join(' and ')} the unit is passed over, and the system is started unverified`,
      );
    if (start.maskingLeadsOn && sealed)
      warnings.push('systemd.mask= of the unit on the kernel command line leads on, unverified');
    if (start.shell && sealed) warnings.push('a boot that fails ends in a shell');
  }
  return warnings;
}
