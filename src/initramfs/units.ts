/**
 * Units of systemd as the manager of an initramfs would load them: the first of the directories has the unit, drop-ins
 * of all of them are added. Source: systemd.unit(5), systemd.syntax(7).
 * @module
 */
import { type ByteString, byteString, byteStringFrom } from '../core/bytes/byte-string.ts';
import type { RootFileSystem } from './root-file-system.ts';

export interface Unit {
  /** Where the unit itself is. */
  readonly path: ByteString;
  /** Drop-ins that count, in the order in which they are read. */
  readonly dropIns: readonly ByteString[];
  /** The values of a setting that may stand there more than once; an empty one forgets those before it. */
  values(section: string, key: string): readonly ByteString[];
  /** Conditions or assertions, `ConditionPathExists` and the like; an empty one of any kind forgets all before it. */
  conditions(kind: 'Condition' | 'Assert'): readonly { readonly key: string; readonly value: ByteString }[];
  /** Names of units in a setting of the kind of `Wants=` or `Requires=`, or linked from a directory of that name. */
  names(key: 'Wants' | 'Requires'): readonly ByteString[];
}

interface Setting {
  readonly section: string;
  readonly key: string;
  readonly value: ByteString;
}

/** In the order of precedence, without those that only a running system has. */
const DIRECTORIES = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
] as const;

const FILE_LIMIT = 256 * 1024;

/**
 * Loads a unit.
 *
 * @param name plain, not of a template
 * @returns `masked` if it can never be started, undefined if there is none
 */
export function loadUnit(root: RootFileSystem, name: string): Unit | 'masked' | undefined {
  const path = DIRECTORIES.map((directory) => byteString(`${directory}/${name}`)).find(
    (candidate) => root.findItself(candidate) !== undefined,
  );
  if (path === undefined) return undefined;
  if (isMasked(root, path)) return 'masked';
  const own = root.file(path);
  if (own === undefined) return undefined;
  const dropIns = dropInsOf(root, name);
  const settings = [own, ...dropIns.map((dropIn) => root.file(dropIn))].flatMap((file) =>
    file === undefined ? [] : readSettings(byteStringFrom(file.data.subarray(0, FILE_LIMIT))),
  );
  const collect = (section: string, key: string, forgets: boolean): ByteString[] => {
    let found: ByteString[] = [];
    for (const setting of settings) {
      if (setting.section !== section || setting.key !== key) continue;
      if (setting.value === '' && forgets) found = [];
      else found.push(setting.value);
    }
    return found;
  };
  return {
    path,
    dropIns,
    values: (section, key) => collect(section, key, true),
    conditions(kind) {
      let found: Setting[] = [];
      for (const setting of settings) {
        if (setting.section !== 'Unit' || !setting.key.startsWith(kind)) continue;
        if (setting.value === '') found = [];
        else found.push(setting);
      }
      return found;
    },
    // What was once depended on cannot be taken back.
    names: (key) => [
      ...collect('Unit', key, false).flatMap((value) =>
        value
          .split(/\s+/)
          .filter((word) => word !== '')
          .map((word) => byteString(word.replace(/^"(.*)"$/, '$1'))),
      ),
      ...linkedNames(root, name, key),
    ],
  };
}

/** A link to /dev/null, or a file with nothing in it. */
function isMasked(root: RootFileSystem, path: ByteString): boolean {
  const itself = root.findItself(path);
  if (itself?.kind === 'symlink') {
    // /dev/null is there when systemd runs, whatever the image has in /dev.
    if (itself.target.replace(/^(\.\.\/)+/, '/') === '/dev/null') return true;
  }
  return root.file(path)?.data.length === 0;
}

/** Of two drop-ins of one name the first directory's counts; all are read in the order of their names. */
function dropInsOf(root: RootFileSystem, name: string): ByteString[] {
  const chosen = new Map<string, ByteString>();
  for (const folder of dropInFolders(name)) {
    for (const directory of DIRECTORIES) {
      const path = byteString(`${directory}/${folder}`);
      for (const entry of root.list(path) ?? []) {
        if (entry.endsWith('.conf') && !chosen.has(entry)) chosen.set(entry, byteString(`${path}/${entry}`));
      }
    }
  }
  return [...chosen.keys()].sort().map((entry) => chosen.get(entry) as ByteString);
}

/** `a-b.service.d`, `a-.service.d`, `service.d`. */
function dropInFolders(name: string): string[] {
  const dot = name.lastIndexOf('.');
  const [stem, type] = [name.slice(0, dot), name.slice(dot + 1)];
  const folders = [`${name}.d`];
  for (let dash = stem.lastIndexOf('-'); dash > 0; dash = stem.lastIndexOf('-', dash - 1))
    folders.push(`${stem.slice(0, dash + 1)}.${type}.d`);
  return [...folders, `${type}.d`];
}

function linkedNames(root: RootFileSystem, name: string, key: 'Wants' | 'Requires'): ByteString[] {
  return DIRECTORIES.flatMap((directory) => {
    const path = byteString(`${directory}/${name}.${key.toLowerCase()}`);
    return (root.list(path) ?? []).filter(
      (entry) => root.findItself(byteString(`${path}/${entry}`))?.kind === 'symlink',
    );
  });
}

function readSettings(text: ByteString): Setting[] {
  const settings: Setting[] = [];
  let section = '';
  for (const line of joinedLines(text)) {
    const header = /^\[(.*)\]$/.exec(line);
    if (header !== null) {
      section = header[1] as string;
      continue;
    }
    const equals = line.indexOf('=');
    if (equals > 0) {
      const value = byteString(line.slice(equals + 1).trim());
      settings.push({ section, key: line.slice(0, equals).trim(), value });
    }
  }
  return settings;
}

/** Without comments; a backslash at the end of a line takes the next one along, also past comments. */
function joinedLines(text: ByteString): string[] {
  const lines: string[] = [];
  let open = '';
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (line.startsWith('#') || line.startsWith(';')) continue;
    if (line.endsWith('\\')) {
      open += `${line.slice(0, -1)} `;
      continue;
    }
    const whole = (open + line).trim();
    open = '';
    if (whole !== '') lines.push(whole);
  }
  return open === '' ? lines : [...lines, open.trim()];
}
