/**
 * What `initramfs install` puts into a root tree: the boot program, its policy and its units below /usr/lib/sealtree,
 * and for each of dracut, initramfs-tools and mkinitcpio the module by which that finds them. A root tree keeps its own
 * units: what is for the initramfs alone is put under its name there by the modules.
 * @module
 */
import { type ByteString, byteString, bytesOf, displayByteString } from '../core/bytes/byte-string.ts';
import { setKey } from '../core/conf/keyfile.ts';
import {
  BINDING_KEY_PATH,
  compareModes,
  type LoadedConfig,
  type Mode,
  modeOf,
} from '../core/conf/prepare-root.ts';
import { SEALED_PATH, type Sealed } from '../core/conf/sealed.ts';
import { writeSealed } from '../core/conf/write-sealed.ts';
import { SealtreeError } from '../core/errors.ts';
import { encodePublicKey, type PublicKey } from '../core/sign/keys.ts';

const SEALED_HEAD = '# Installed by `sealtree initramfs install --sealed`.\n\n';

export interface InstallRequest {
  readonly program: Uint8Array;
  /** Public keys for the key file; empty to leave the one that is there. */
  readonly keys: readonly PublicKey[];
  /** What `composefs.enabled` must be at least; undefined to leave the configuration as it is. */
  readonly mode: Mode | undefined;
  /** undefined: not sealed. `trusted` is filled in from the keys. */
  readonly sealed: Omit<Sealed, 'trusted'> | undefined;
  /** Whether what is not ours may be changed. */
  readonly force: boolean;
}

/** What stands in the root tree already. */
export interface RootFacts {
  readonly configuration: LoadedConfig;
  /** Text of the configuration in force, empty if there is none. */
  readonly configurationText: ByteString;
  /** Whether the configuration in force was written by an earlier install and not changed since. */
  readonly configurationIsOurs: boolean;
  /** The keys in the key file that the configuration names, if no others are asked for. */
  readonly keys: readonly PublicKey[];
}

export interface PlannedFile {
  readonly path: ByteString;
  readonly data: Uint8Array;
  readonly mode: 0o644 | 0o755;
  /** The user has allowed this very change of a file that is not ours. */
  readonly allowed?: true;
}

/** The template of this name, a path below the folder initramfs/ of sealtree. */
export type Template = (name: string) => Uint8Array;

/** Everything that an install may have left behind when an earlier one was sealed or not. */
export const OPTIONAL_PATHS: readonly ByteString[] = [
  SEALED_PATH,
  ...[
    'ostree-prepare-root.service.d',
    'initrd-root-fs.target.d',
    'initrd-switch-root.service.d',
    'emergency.service.d',
    'rescue.service.d',
    'dracut-emergency.service.d',
    'debug-shell.service.d',
  ].map(unitDropIn),
  byteString('/usr/share/initramfs-tools/scripts/panic/sealtree'),
];

export const PROGRAM_IN_ROOT = byteString('/usr/lib/sealtree/ostree-prepare-root');

const CONFIGURATION = byteString('/usr/lib/ostree/prepare-root.conf');
const OWN_CONFIGURATION = byteString('/etc/ostree/prepare-root.conf');

/**
 * The files to install.
 *
 * @throws SealtreeError `missing` if there is no key, `usage` if the configuration that is there says something weaker
 */
export function planInstall(request: InstallRequest, facts: RootFacts, template: Template): PlannedFile[] {
  const { sealed } = request;
  const keyPath = facts.configurationIsOurs ? BINDING_KEY_PATH : facts.configuration.config.composefs.keypath;
  const keys = request.keys.length > 0 ? request.keys : facts.keys;
  if (request.mode === 'signed' && keys.length === 0) {
    throw new SealtreeError(
      'missing',
      `mode signed needs a public key: --key, or one in ${displayByteString(keyPath)}`,
    );
  }
  const text = (path: string, data: ByteString): PlannedFile => ({
    path: byteString(path),
    data: bytesOf(data),
    mode: 0o644,
  });
  const copy = (path: ByteString | string, name: string, mode: 0o644 | 0o755 = 0o644): PlannedFile => ({
    path: byteString(path),
    data: template(name),
    mode,
  });
  const units =
    sealed === undefined
      ? [
          copy(unitDropIn('ostree-prepare-root.service.d'), 'systemd/only-ostree.conf'),
          copy(unitDropIn('initrd-root-fs.target.d'), 'systemd/wanted.conf'),
        ]
      : [
          copy(unitDropIn('initrd-root-fs.target.d'), 'systemd/sealed-root-fs.conf'),
          copy(unitDropIn('initrd-switch-root.service.d'), 'systemd/sealed-switch-root.conf'),
        ];
  const refusal =
    sealed?.refusal === 'poweroff'
      ? [
          ...['emergency', 'rescue', 'dracut-emergency'].map((name) =>
            copy(unitDropIn(`${name}.service.d`), 'systemd/sealed-emergency.conf'),
          ),
          copy(unitDropIn('debug-shell.service.d'), 'systemd/sealed-debug-shell.conf'),
          copy('/usr/share/initramfs-tools/scripts/panic/sealtree', 'initramfs-tools/panic', 0o755),
        ]
      : [];
  return [
    { path: PROGRAM_IN_ROOT, data: request.program, mode: 0o755 },
    copy('/usr/lib/sealtree/systemd/ostree-prepare-root.service', 'systemd/ostree-prepare-root.service'),
    ...units,
    ...refusal,
    ...configurationFile(request, facts),
    ...(request.keys.length === 0 ? [] : [text(keyPath, byteString(request.keys.map(keyLine).join('')))]),
    ...(sealed === undefined
      ? []
      : [
          text(
            SEALED_PATH,
            byteString(
              SEALED_HEAD +
                writeSealed({ ...sealed, trusted: sealed.mode === 'signed' ? keys : request.keys }),
            ),
          ),
        ]),
    text('/usr/lib/sealtree/initramfs.files', fileList(request, keyPath)),
    copy('/usr/lib/dracut/modules.d/99sealtree/module-setup.sh', 'dracut/module-setup.sh', 0o755),
    copy('/usr/share/initramfs-tools/hooks/sealtree', 'initramfs-tools/hook', 0o755),
    copy('/usr/share/initramfs-tools/scripts/init-bottom/sealtree', 'initramfs-tools/init-bottom', 0o755),
    copy('/usr/lib/initcpio/install/sealtree', 'mkinitcpio/install'),
    copy('/usr/lib/initcpio/hooks/sealtree', 'mkinitcpio/hook'),
    copy('/etc/mkinitcpio.conf.d/sealtree.conf', 'mkinitcpio/sealtree.conf'),
  ];
}

function unitDropIn(folder: string): ByteString {
  return byteString(`/usr/lib/sealtree/systemd/${folder}/sealtree.conf`);
}

function keyLine({ key }: PublicKey): string {
  return encodePublicKey(key);
}

/** What the modules copy into the initramfs under the same path; with a dash in front if it may be missing. */
function fileList({ mode, sealed }: InstallRequest, keyPath: ByteString): ByteString {
  const needsKeyFile = mode === 'signed' && sealed === undefined;
  const lines = [
    `${mode === undefined ? '-' : ''}${CONFIGURATION}`,
    `-${OWN_CONFIGURATION}`,
    `${needsKeyFile ? '' : '-'}${keyPath}`,
    ...(sealed === undefined ? [] : [SEALED_PATH]),
  ];
  return byteString(lines.map((line) => `${line}\n`).join(''));
}

/** A configuration that says at least what is asked for; none if the one that is there does already. */
function configurationFile(request: InstallRequest, facts: RootFacts): PlannedFile[] {
  const { mode, sealed, force } = request;
  if (mode === undefined) return [];
  const transientEtc = sealed !== undefined && !sealed.unsignedEtc;
  const { path, config } = facts.configuration;
  if (path === undefined || facts.configurationIsOurs) {
    const etc = transientEtc ? '\n[etc]\ntransient=true\n' : '';
    const head =
      '# Installed by `sealtree initramfs install`; conf/prepare-root.conf of sealtree has every key.';
    const data = bytesOf(byteString(`${head}\n[composefs]\nenabled=${mode}\n${etc}`));
    return [{ path: CONFIGURATION, data, mode: 0o644 }];
  }
  const weaker = compareModes(modeOf(config), mode) < 0;
  const persistent = transientEtc && !config.etcTransient;
  if (!weaker && !persistent) return [];
  const shown = displayByteString(path);
  if (!force) {
    const [found, wanted] = weaker
      ? [`composefs.enabled=${modeOf(config)}`, `composefs.enabled=${mode}`]
      : ['etc.transient=false', 'etc.transient=true, or --etc-unsigned=allow'];
    throw new SealtreeError(
      'usage',
      `${shown}: says ${found}, asked for is ${wanted}: change it, or have it changed with --force`,
      { help: 'no', path: shown },
    );
  }
  let text = facts.configurationText;
  const set = (group: string, key: string, value: string) => {
    text = setKey(text, byteString(group), byteString(key), byteString(value), shown);
  };
  if (weaker) set('composefs', 'enabled', mode);
  if (persistent) set('etc', 'transient', 'true');
  return [{ path, data: bytesOf(text), mode: 0o644, allowed: true }];
}
