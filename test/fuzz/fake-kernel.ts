/**
 * The system calls of the boot program, on mounts that stand in memory alone: as Linux makes them, or failing, or
 * saying that they have done what they have not.
 * @module
 */
import { byteString, byteStringFrom, bytesOf } from '../../src/core/bytes/byte-string.ts';
import { bytesFromHex } from '../../src/core/bytes/hex.ts';
import { COMPOSEFS_MAGIC } from '../../src/core/erofs/format.ts';
import { errorNumber } from '../../src/core/errno.ts';
import { MNT_DETACH, MS } from '../../src/core/mount/calls.ts';
import { type FakeMount, FakeMounts, plainMount } from './fake-mounts.ts';

/** What kernels can do or cannot. */
export type KernelKind = 'modern' | 'no erofs from files' | 'no layers' | 'one colon' | 'mount(2)';

export const KERNEL_KINDS: readonly KernelKind[] = [
  'modern',
  'no erofs from files',
  'no layers',
  'one colon',
  'mount(2)',
];

/** What becomes of a call: an error number, or success with something else, or nothing, behind it. */
export type Trouble =
  | { readonly kind: 'error'; readonly errno: number }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'other'; readonly which: number };

const FILE_SYSTEMS: Readonly<Record<string, number>> = {
  erofs: 0xe0f5e1e2,
  overlay: 0x794c7630,
  ext4: 0xef53,
  tmpfs: 0x01021994,
};

type Open =
  | { readonly kind: 'file'; readonly path: string; at: number; data?: Uint8Array }
  | { readonly kind: 'context'; readonly type: string; readonly parameters: [string, string | undefined][] }
  | { readonly kind: 'mount'; readonly mount: FakeMount };

type Text = ArrayBuffer | null;

export class FakeKernel {
  readonly kind: KernelKind;
  /** Calls made so far. */
  calls = 0;
  /** Calls that were not made as they should have been, by their names. */
  readonly troubled: string[] = [];
  /** Paths that a mount was put at instead of where it should be, or over one. */
  readonly strays: string[] = [];
  readonly mounts = new FakeMounts();
  readonly files = new Set<string>();
  readonly #troubles: ReadonlyMap<number, Trouble>;
  readonly #changeTable: (text: string) => string;
  readonly #digest: string;
  #directory = '/';
  readonly #open = new Map<number, Open>();
  #descriptor = 3;

  /**
   * @param digest what fs-verity measures of the image
   * @param troubles by the numbers of calls
   * @param changeTable what is read of /proc/self/mountinfo when it is read for the second time
   */
  constructor(
    kind: KernelKind,
    digest: string,
    troubles: ReadonlyMap<number, Trouble>,
    changeTable: (text: string) => string = (text) => text,
  ) {
    this.kind = kind;
    this.#digest = digest;
    this.#troubles = troubles;
    this.#changeTable = changeTable;
    this.mounts.put(plainMount('/', 'tmpfs', 'rootfs', '0:2'));
    this.mounts.put(plainMount('/run', 'tmpfs', 'tmpfs', '0:5'));
    this.mounts.put(plainMount('/sysroot', 'ext4', '/dev/sda1', '8:1', '/disk root'));
  }

  /** What initramfs/sys.ts declares; calls that these plans do not make are missing. */
  readonly sys = {
    openat: (_: number, path: Text, flags: number) => {
      const O_CREAT = 0o100;
      return this.#call('openat', () => {
        const where = this.#absolute(path);
        if (where.startsWith('/proc/self/mountinfo')) return this.#openTable();
        if (flags & O_CREAT) this.files.add(where);
        return this.#handle({ kind: 'file', path: where, at: 0 });
      });
    },
    close: (fd: number) => {
      this.#open.delete(fd);
      return 0;
    },
    read: (fd: number, target: ArrayBuffer) =>
      this.#call('read', () => {
        const file = this.#open.get(fd);
        if (file?.kind !== 'file' || file.data === undefined) return errno('EBADF');
        const piece = file.data.subarray(file.at, file.at + target.byteLength);
        new Uint8Array(target).set(piece);
        file.at += piece.length;
        return piece.length;
      }),
    pread: (_: number, target: ArrayBuffer) =>
      this.#call('pread', () => {
        new DataView(target).setUint32(0, COMPOSEFS_MAGIC, true);
        return target.byteLength;
      }),
    write: (_: number, data: ArrayBuffer) => this.#call('write', () => data.byteLength),
    fchmod: () => this.#call('fchmod', () => 0),
    statx: (_: number, path: Text, __: number, ___: number, target: ArrayBuffer) =>
      this.#call('statx', () => {
        const where = this.#absolute(path);
        if (where === '/dev/gpt-auto-root') return errno('ENOENT');
        const view = new DataView(target);
        const isFile = textOf(path) === '';
        view.setUint16(28, isFile ? 0o100644 : 0o40755, true);
        const [major, minor] = (this.mounts.at(where)?.device ?? '0:0').split(':');
        view.setUint32(136, Number(major), true);
        view.setUint32(140, Number(minor), true);
        if (isFile) view.setUint32(8, STATX_ATTR_VERITY, true);
        return 0;
      }),
    fstatfs: (fd: number, target: ArrayBuffer) =>
      this.#call('fstatfs', () => {
        const file = this.#open.get(fd);
        const type = file?.kind === 'file' ? this.mounts.at(file.path)?.type : undefined;
        new DataView(target).setUint32(0, FILE_SYSTEMS[type ?? ''] ?? 0, true);
        return 0;
      }, [
        () => {
          new DataView(target).setUint32(0, 0x65735546, true);
          return 0;
        },
      ]),
    measureVerity: (_: number, target: ArrayBuffer) => {
      const measure = (digest: Uint8Array, algorithm: number) => () => {
        const view = new DataView(target);
        view.setUint16(0, algorithm, true);
        new Uint8Array(target).set(digest, 4);
        return 0;
      };
      const good = bytesFromHex(this.#digest);
      const bad = good.map((byte, i) => (i === 31 ? byte ^ 1 : byte));
      return this.#call('measureVerity', measure(good, 1), [
        measure(bad, 1),
        measure(good, 2),
        measure(good, 7),
      ]);
    },
    mkdirat: (_: number, path: Text) =>
      this.#call('mkdirat', () => {
        const where = this.#absolute(path);
        if (this.files.has(where)) return errno('EEXIST');
        this.files.add(where);
        return 0;
      }),
    unlinkat: (_: number, path: Text) =>
      this.#call('unlinkat', () => {
        const where = this.#absolute(path);
        return this.files.delete(where) ? 0 : errno('ENOENT');
      }),
    symlinkat: () => this.#call('symlinkat', () => 0),
    renameat2: (_: number, from: Text, __: number, to: Text) =>
      this.#call('renameat2', () => {
        this.files.delete(this.#absolute(from));
        this.files.add(this.#absolute(to));
        return 0;
      }),
    chdir: (path: Text) =>
      this.#call('chdir', () => {
        this.#directory = this.#absolute(path);
        return 0;
      }),
    getrandom: (target: ArrayBuffer) =>
      this.#call('getrandom', () => {
        new Uint8Array(target).fill(7);
        return target.byteLength;
      }),
    btrfsInfo: () => errno('ENOTTY'),
    btrfsDevice: () => errno('ENOTTY'),
    mount: (source: Text, target: Text, type: Text, flags: number, options: Text) =>
      this.#call('mount', () => this.#mount(source, this.#absolute(target), type, flags, options), [
        () => this.#stray(() => this.#mount(source, '/elsewhere', type, flags, options)),
        () => this.#mount(source, this.#absolute(target), type, flags ^ MS.rdonly, options),
        () => {
          const result = this.#mount(source, this.#absolute(target), type, flags, options);
          return result < 0 ? result : this.#over(this.#absolute(target));
        },
        () =>
          this.#stray(() =>
            type === null && (flags & (MS.bind | MS.remount)) === MS.bind
              ? this.#otherBind(source, this.#absolute(target), flags)
              : 0,
          ),
      ]),
    umount2: (path: Text, flags: number) =>
      this.#call('umount2', () => {
        const where = this.#absolute(path);
        const mount = this.mounts.at(where);
        if (mount === undefined || mount.path !== where || mount.id === 30) return errno('EINVAL');
        if (flags !== MNT_DETACH) throw new Error('not detached');
        this.mounts.detach(mount);
        return 0;
      }),
    fsopen: (type: Text) => {
      if (this.kind === 'mount(2)') return errno('ENOSYS');
      return this.#call('fsopen', () =>
        this.#handle({ kind: 'context', type: textOf(type), parameters: [] }),
      );
    },
    fsconfig: (fd: number, command: number, key: Text, value: Text) => {
      const FSCONFIG_CMD_CREATE = 6;
      const name = command === FSCONFIG_CMD_CREATE ? '' : textOf(key);
      const given = value === null ? undefined : textOf(value);
      const set = (set: [string, string | undefined]) => () => {
        const context = this.#context(fd);
        if (context.type === 'erofs' && this.kind === 'no erofs from files' && given?.startsWith('/proc/'))
          return errno('ENOTBLK');
        if (context.type === 'overlay' && !OVERLAY_KEYS.has(set[0])) return errno('EINVAL');
        if (this.kind === 'no layers' || this.kind === 'one colon') {
          if (set[0] === 'lowerdir+' || set[0] === 'datadir+') return errno('EINVAL');
        }
        context.parameters.push(set);
        return 0;
      };
      if (command === FSCONFIG_CMD_CREATE) return this.#call('fsconfig', () => 0);
      return this.#call(
        'fsconfig',
        set([name, given]),
        QUIET_KEYS.has(name)
          ? undefined
          : [set([name, given === undefined ? undefined : `${given}x`]), () => 0],
      );
    },
    fsmount: (fd: number, _: number, attributes: number) => {
      const make = (readonly: boolean) => () => {
        const { type, parameters } = this.#context(fd);
        return this.#handle({ kind: 'mount', mount: this.#create(type, parameters, readonly) });
      };
      return this.#call('fsmount', make(attributes === 1), [make(attributes !== 1)]);
    },
    moveMount: (fd: number, _: Text, __: number, target: Text) => {
      const move = (to: string) => {
        const from = this.#open.get(fd);
        if (from?.kind !== 'mount') return errno('EINVAL');
        this.mounts.put({ ...from.mount, path: to });
        return 0;
      };
      return this.#call('moveMount', () => move(this.#absolute(target)), [
        () => this.#stray(() => move('/elsewhere')),
        () => {
          move(this.#absolute(target));
          return this.#over(this.#absolute(target));
        },
      ]);
    },
    loopGetFree: () => this.#call('loopGetFree', () => 0),
    loopConfigure: () => this.#call('loopConfigure', () => 0),
  };

  /** Makes a call as it should be, or in its number's trouble. @param others what else may come of it with success */
  #call(name: string, make: () => number, others: readonly (() => number)[] = []): number {
    const trouble = this.#troubles.get(this.calls++);
    if (trouble === undefined) return make();
    if (trouble.kind === 'error') {
      this.troubled.push(name);
      return -trouble.errno;
    }
    const lies = LIARS.has(name) ? [() => 0, ...others] : others;
    const lie =
      trouble.kind === 'nothing'
        ? LIARS.has(name)
          ? () => 0
          : undefined
        : lies[trouble.which % Math.max(1, lies.length)];
    if (lie === undefined) return make();
    this.troubled.push(`${name} lies`);
    return lie();
  }

  #mount(source: Text, target: string, type: Text, flags: number, options: Text): number {
    const there = this.mounts.at(target);
    if (flags & (MS.private | MS.slave | MS.shared)) return 0;
    if (flags & MS.remount) {
      if (there?.path !== target) return errno('EINVAL');
      there.readonly = (flags & MS.rdonly) !== 0;
      return 0;
    }
    if (flags & MS.move) {
      const from = this.mounts.at(this.#absolute(source));
      if (from === undefined || from.path !== this.#absolute(source)) return errno('EINVAL');
      this.mounts.move(from, target);
      return 0;
    }
    if (flags & MS.bind) {
      const from = this.#absolute(source);
      const mount = this.mounts.source(from);
      if (mount === undefined) return errno('ENOENT');
      this.mounts.put({ ...mount, path: target });
      return 0;
    }
    const name = textOf(type);
    const given = textOf(source);
    if (name === 'erofs' && this.kind === 'no erofs from files' && given.startsWith('/proc/'))
      return errno('ENOTBLK');
    const all = options === null ? [] : textOf(options).split(',');
    if (this.kind === 'one colon' && all.some((option) => option.includes('::'))) return errno('EINVAL');
    const parameters = all.map((option): [string, string | undefined] => {
      const at = option.indexOf('=');
      return at < 0 ? [option, undefined] : [option.slice(0, at), option.slice(at + 1)];
    });
    const mount = this.#create(name, [['source', given], ...parameters], (flags & MS.rdonly) !== 0);
    this.mounts.put({ ...mount, path: target });
    return 0;
  }

  #otherBind(source: Text, target: string, flags: number): number {
    return this.#mount(bufferOf(`${this.#absolute(source)}/other`), target, null, flags, null);
  }

  #create(type: string, parameters: readonly [string, string | undefined][], readonly: boolean): FakeMount {
    const source = parameters.filter(([key]) => key === 'source').at(-1)?.[1] ?? 'none';
    const shown = parameters
      .filter(([key, value]) => key !== 'source' && value !== undefined)
      .map(([key, value]) => `${key}=${value}`);
    const superOptions = [readonly || type === 'erofs' ? 'ro' : 'rw', ...shown];
    return {
      id: 0,
      parent: 0,
      device: `0:${60 + this.mounts.count}`,
      root: '/',
      path: '',
      readonly,
      type,
      source,
      superOptions,
    };
  }

  #stray(make: () => number): number {
    this.strays.push('/elsewhere');
    return make();
  }

  /** Somebody else mounts over what has just been mounted. */
  #over(path: string): number {
    this.mounts.put(plainMount(path, 'ext4', '/dev/sdx', '8:9'));
    return 0;
  }

  #openTable(): number {
    const text = this.#tableWasRead ? this.#changeTable(this.mounts.table()) : this.mounts.table();
    this.#tableWasRead = true;
    return this.#handle({
      kind: 'file',
      path: '/proc/self/mountinfo',
      at: 0,
      data: bytesOf(byteString(text)),
    });
  }

  #tableWasRead = false;

  #handle(open: Open): number {
    this.#open.set(++this.#descriptor, open);
    return this.#descriptor;
  }

  #context(fd: number): Extract<Open, { kind: 'context' }> {
    const context = this.#open.get(fd);
    if (context?.kind !== 'context') throw new Error('not a file system context');
    return context;
  }

  /** Descriptors that nobody has closed. */
  leaked(): number {
    return this.#open.size;
  }

  #absolute(path: Text): string {
    const text = textOf(path);
    const out: string[] = [];
    for (const part of (text.startsWith('/') ? text : `${this.#directory}/${text}`).split('/')) {
      if (part === '..') out.pop();
      else if (part !== '' && part !== '.') out.push(part);
    }
    return `/${out.join('/')}`;
  }
}

let current: FakeKernel | undefined;

/** The kernel that the calls of the program go to from now on. */
export function useKernel(kernel: FakeKernel): void {
  current = kernel;
}

/** What initramfs/sys.c makes a global of the program. */
export const sys: object = new Proxy({}, { get: (_, name) => Reflect.get(current?.sys ?? {}, name) });

const STATX_ATTR_VERITY = 0x00100000;

/** Calls that may say success and have done nothing. */
const LIARS = new Set([
  'mount',
  'umount2',
  'moveMount',
  'mkdirat',
  'unlinkat',
  'renameat2',
  'chdir',
  'write',
  'fchmod',
]);

const OVERLAY_KEYS = new Set([
  ...['source', 'metacopy', 'redirect_dir', 'verity', 'lowerdir+', 'datadir+', 'upperdir', 'workdir'],
]);

/** What the table of mounts does not tell of, or not of every kernel. */
const QUIET_KEYS = new Set(['metacopy', 'redirect_dir', 'unsupported', 'noacl', 'ro']);

function errno(name: string): number {
  return -(errorNumber(name) as number);
}

function textOf(text: Text): string {
  return text === null ? '' : byteStringFrom(new Uint8Array(text), 0, text.byteLength - 1);
}

function bufferOf(text: string): ArrayBuffer {
  return bytesOf(byteString(`${text}\0`)).slice().buffer as ArrayBuffer;
}
