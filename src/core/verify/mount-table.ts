/**
 * The kernel's table of mounts, and which of them a path leads to.
 * Format: Documentation/filesystems/proc.rst, "/proc/<pid>/mountinfo".
 * @module
 */
import { type ByteString, byteString } from '../bytes/byte-string.ts';
import { malformed } from '../errors.ts';

export interface MountEntry {
  readonly id: string;
  readonly parent: string;
  /** `MAJOR:MINOR` of the file system. */
  readonly device: string;
  /** Path in the file system that is mounted. */
  readonly root: string;
  /** Where it is mounted. */
  readonly path: string;
  readonly options: readonly string[];
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

export interface MountTable {
  readonly entries: readonly MountEntry[];
  /** The mount that an absolute path without symlinks, `.` and `..` ends in; undefined if the table does not show it. */
  at(path: string): MountEntry | undefined;
}

/** PATH_MAX, of which every byte may be escaped. */
const MAX_FIELD = 4 * 4096;

/**
 * Reads a table.
 *
 * @throws SealtreeError `malformed` for a line that is none, or an identifier that is there twice
 */
export function readMountTable(text: ByteString): MountTable {
  const entries = new Map<string, MountEntry>();
  const lines = text.split('\n');
  // The last line is ended as well; what follows it is nothing.
  if (lines.pop() !== '') throw malformed('table of mounts is cut off');
  lines.forEach((line, i) => {
    const entry = readEntry(line);
    if (entry === undefined || entries.has(entry.id))
      throw malformed(`table of mounts: line ${i + 1} is malformed`);
    entries.set(entry.id, entry);
  });
  const children = new Map<string, MountEntry>();
  for (const entry of entries.values()) {
    const { id, parent, path } = entry;
    // The root's own parent is itself, or cannot be seen.
    children.set(`${entries.has(parent) && parent !== id ? parent : ''} ${path}`, entry);
  }
  return { entries: [...entries.values()], at: (path) => walk(children, path) };
}

function readEntry(line: string): MountEntry | undefined {
  const fields = line.split(' ');
  const dash = fields.indexOf('-', 6);
  const [id = '', parent = '', device = '', root = '', path = '', options = ''] = fields;
  if (dash < 0 || fields.length !== dash + 4) return undefined;
  if (!/^\d+$/.test(id) || !/^\d+$/.test(parent) || !/^\d+:\d+$/.test(device)) return undefined;
  if (!path.startsWith('/') || path.length > MAX_FIELD || root.length > MAX_FIELD) return undefined;
  const [type, source, superOptions] = fields.slice(dash + 1) as [string, string, string];
  return {
    id,
    parent,
    device,
    root: unescaped(root),
    path: unescaped(path),
    options: options.split(','),
    type,
    source: unescaped(source),
    superOptions: superOptions.split(',').map(unescaped),
  };
}

/** As the kernel walks a path: at each directory into what is mounted there, and into what is mounted over that. */
function walk(children: ReadonlyMap<string, MountEntry>, path: string): MountEntry | undefined {
  let current: MountEntry | undefined;
  const enter = (directory: string) => {
    for (;;) {
      const next = children.get(`${current?.id ?? ''} ${directory}`);
      if (next === undefined) return;
      current = next;
    }
  };
  enter('/');
  for (let end = path.indexOf('/', 1); end >= 0; end = path.indexOf('/', end + 1)) enter(path.slice(0, end));
  if (path !== '/') enter(path);
  return current;
}

/** Blanks, line ends and backslashes stand there as three octal digits. */
function unescaped(text: string): ByteString {
  return byteString(
    text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 8) & 255),
    ),
  );
}
