/** Small trees of an operating system that ostree can deploy, for tests. @module */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface OsTree {
  /** Part of the system's name and of some of its files. */
  readonly version?: string;
  readonly kernel?: string;
  /** Content of `vmlinuz`. */
  readonly vmlinuz?: string;
  /** `usr/lib/ostree/prepare-root.conf`. */
  readonly prepareRoot?: string;
  /** Further files by path, each with its content; what ends in a slash is an empty directory. */
  readonly files?: Readonly<Record<string, string>>;
}

const DIRECTORIES = [
  'usr/bin',
  'usr/lib/ostree',
  'usr/etc/ssh',
  'boot',
  'dev',
  'proc',
  'run',
  'sys',
  'sysroot',
];

/** @returns the path of the tree's root */
export function makeOsTree(root: string, tree: OsTree = {}): string {
  const {
    version = '1',
    kernel = '6.12.0-test',
    vmlinuz = `kernel ${kernel}`,
    prepareRoot,
    files = {},
  } = tree;
  for (const name of [...DIRECTORIES, 'var', 'tmp']) mkdirSync(join(root, name), { recursive: true });
  chmodSync(join(root, 'tmp'), 0o1777);
  for (const [name, target] of [
    ['bin', 'usr/bin'],
    ['lib', 'usr/lib'],
    ['ostree', 'sysroot/ostree'],
    ['home', 'var/home'],
  ] as const) {
    symlinkSync(target, join(root, name));
  }
  const modules = `usr/lib/modules/${kernel}`;
  const all: Record<string, string> = {
    'usr/bin/sh': `#!${version}`,
    'usr/lib/os-release': `PRETTY_NAME="Test OS ${version}"\nID=test\n`,
    'usr/etc/hostname': 'test\n',
    'usr/etc/ssh/sshd_config': 'Port 22\n',
    [`${modules}/vmlinuz`]: vmlinuz,
    [`${modules}/initramfs.img`]: `initramfs ${kernel}`,
    ...(prepareRoot === undefined ? {} : { 'usr/lib/ostree/prepare-root.conf': prepareRoot }),
    ...files,
  };
  for (const [path, content] of Object.entries(all)) {
    const place = join(root, path);
    mkdirSync(path.endsWith('/') ? place : join(place, '..'), { recursive: true });
    if (!path.endsWith('/')) writeFileSync(place, content);
  }
  chmodSync(join(root, 'usr/bin/sh'), 0o4755);
  chmodSync(join(root, 'usr/etc/ssh/sshd_config'), 0o600);
  return root;
}
