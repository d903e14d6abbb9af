/**
 * Dump files at random: every type, names and values of any bytes, sizes and times at the edges, hard links, shared
 * xattrs. All of them are valid, and none says what an image does not keep.
 * @module
 */
import fc from 'fast-check';
import { byteString } from '../src/core/bytes/byte-string.ts';
import { escapeField } from '../src/core/dumpfile/escape.ts';

interface Node {
  readonly name: string;
  readonly parent: number;
  readonly kind: 'file' | 'inline' | 'empty' | 'directory' | 'symlink' | 'device' | 'fifo' | 'link';
  readonly permissions: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly size: number;
  readonly mtime: string;
  readonly text: string;
  readonly digest: string | undefined;
  readonly xattrs: readonly (readonly [string, string])[];
}

const anyByte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code));
const nameByte = anyByte.filter((char) => char !== '\0' && char !== '/');
const payloadByte = anyByte.filter((char) => char !== '\0');
const text = (unit: fc.Arbitrary<string>, minLength: number, maxLength: number) =>
  fc.string({ unit, minLength, maxLength });
const edge = (...values: number[]) => fc.constantFrom(...values);

const name = fc
  .oneof(
    { weight: 6, arbitrary: text(nameByte, 1, 12) },
    { weight: 1, arbitrary: text(nameByte, 255, 255) },
    { weight: 3, arbitrary: fc.constantFrom('a', 'b', '00', 'ff', '!', '-x', '...', 'é', '\xff') },
  )
  .filter((value) => value !== '.' && value !== '..');

const key = fc.oneof(
  fc.constantFrom(
    'user.a',
    'user.b',
    'security.selinux',
    'security.capability',
    'trusted.x',
    'trusted.overlay.opaque',
    'trusted.overlay.overlay.metacopy',
    'system.posix_acl_access',
    'system.posix_acl_defaultX',
    'other',
  ),
  text(payloadByte, 1, 20).map((suffix) => `user.${suffix}`),
);
const value = fc.oneof(
  fc.constantFrom('', 'x', 'system_u:object_r:usr_t:s0\0', 'v'.repeat(300)),
  text(anyByte, 0, 30),
);

const node: fc.Arbitrary<Node> = fc.record({
  name,
  parent: fc.nat(),
  kind: fc.constantFrom(
    'file',
    'file',
    'inline',
    'empty',
    'directory',
    'directory',
    'symlink',
    'device',
    'fifo',
    'link',
  ),
  permissions: fc.integer({ min: 0, max: 0o7777 }),
  nlink: edge(0, 1, 2, 65535, 65536, 0xffffffff),
  uid: edge(0, 0, 0, 1000, 65535, 65536, 0xffffffff),
  gid: edge(0, 0, 0, 5, 65535, 65536, 0xffffffff),
  rdev: edge(1, 259, 0xffffffff),
  size: edge(1, 4096, 4097, 70000, 0xffffffff, 0x100000000, 2 ** 43, 2 ** 43 + 1, 2 ** 52, 2 ** 53),
  mtime: fc.constantFrom('0.0', '0.0', '0.1', '1700000000.999999999', '-1.5', '9223372036854775807.0'),
  text: fc.oneof(
    text(payloadByte, 1, 100),
    edge(1, 64, 2048, 2049, 4000, 4095).chain((length) =>
      text(fc.constantFrom('a', '/', 'ü'), length, length),
    ),
  ),
  digest: fc.option(fc.constantFrom('a1'.repeat(32), '0f'.repeat(32), '00'.repeat(32)), { nil: undefined }),
  xattrs: fc.uniqueArray(fc.tuple(key, value), { selector: ([first]) => first, maxLength: 4 }),
});

const MODES = {
  file: 0o100000,
  inline: 0o100000,
  empty: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  device: 0o020000,
  fifo: 0o010000,
  link: 0o100000,
} as const;

/** Texts of dump files with up to sixty lines. */
export const dumpFiles: fc.Arbitrary<string> = fc
  .tuple(node, fc.array(node, { maxLength: 60 }))
  .map(([root, nodes]) => {
    const lines = [line('/', { ...root, kind: 'directory' })];
    const directories = [''];
    const inodes: string[] = [];
    const known = new Set<string>();
    for (const entry of nodes) {
      const path = `${directories[entry.parent % directories.length]}/${entry.name}`;
      if (known.has(path)) continue;
      known.add(path);
      if (entry.kind === 'link') {
        // The name that owns the inode must be the first in the walk, or the image read back has another owner.
        const target = inodes[entry.parent % Math.max(inodes.length, 1)];
        if (target === undefined || !comesBefore(target, path)) continue;
        lines.push(
          `${escapeField(byteString(path))} 0 @100644 0 0 0 0 0.0 ${escapeField(byteString(target))} - -`,
        );
        continue;
      }
      lines.push(line(path, entry));
      if (entry.kind === 'directory') directories.push(path);
      else inodes.push(path);
    }
    return `${lines.join('\n')}\n`;
  });

/** Whether a walk in depth meets `a` before `b`. */
function comesBefore(a: string, b: string): boolean {
  const [left, right] = [a.split('/'), b.split('/')];
  const index = left.findIndex((component, i) => component !== right[i]);
  return index >= 0 && (left[index] as string) < (right[index] ?? '');
}

function line(path: string, node: Node): string {
  const field = (content: string) => escapeField(byteString(content), { loneDash: true, equal: true });
  const { kind } = node;
  const size = kind === 'file' ? node.size : kind === 'inline' ? node.text.length : 0;
  const hasPath = kind === 'symlink' || (kind === 'file' && node.uid === 0);
  const xattrs = node.xattrs.map(([name, content]) => ` ${field(name)}=${field(content)}`).join('');
  return [
    escapeField(byteString(path)),
    size,
    (MODES[kind] | node.permissions).toString(8),
    node.nlink,
    node.uid,
    node.gid,
    kind === 'device' ? node.rdev : 0,
    node.mtime,
    hasPath ? field(node.text) : '-',
    kind === 'inline' ? field(node.text) : '-',
    (kind === 'file' ? node.digest : undefined) ?? '-',
  ]
    .join(' ')
    .concat(xattrs);
}
