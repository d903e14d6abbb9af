/** Mounts that stand in memory alone, as Linux has them: one in the other, or over it. @module */

export interface FakeMount {
  readonly id: number;
  parent: number;
  readonly device: string;
  readonly root: string;
  path: string;
  readonly: boolean;
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

export class FakeMounts {
  /** How many were ever made. */
  count = 0;
  #mounts: FakeMount[] = [];

  /** Mounts on what a path leads to. */
  put(mount: Omit<FakeMount, 'id' | 'parent'>): FakeMount {
    const made = { ...mount, id: this.#freeId(), parent: this.at(mount.path)?.id ?? 1 };
    this.#mounts.push(made);
    return made;
  }

  /** The mount that a path ends in. */
  at(path: string): FakeMount | undefined {
    const parts = path.split('/').filter((part) => part !== '');
    let current: FakeMount | undefined;
    let directory = '';
    for (const part of ['', ...parts]) {
      directory = part === '' ? '/' : `${directory === '/' ? '' : directory}/${part}`;
      for (;;) {
        const inside = current?.id ?? 1;
        const next = this.#mounts
          .filter((mount) => mount.parent === inside && mount.path === directory)
          .at(-1);
        if (next === undefined) break;
        current = next;
      }
    }
    return current;
  }

  /** The mounts that are to be seen, without what differs from boot to boot, in the order of their paths. */
  visible(): string[] {
    const seen = this.#mounts.filter((mount) => this.at(mount.path) === mount);
    return seen
      .map(({ id: _, parent: __, ...mount }) =>
        JSON.stringify({ ...mount, superOptions: spelledOut(mount.superOptions) }),
      )
      .map((line) => line.replace(/(?<=transient-etc\.)\w{6}/g, 'XXXXXX'))
      .sort();
  }

  /** Text of /proc/self/mountinfo. */
  table(): string {
    const lines = this.#mounts.map(
      ({ id, parent, device, root, path, readonly, type, source, superOptions }) => {
        const access = readonly ? 'ro' : 'rw';
        const options = superOptions.map((option) => escaped(option).replaceAll(',', '\\054'));
        return `${id} ${parent} ${device} ${escaped(root)} ${escaped(path)} ${access},relatime shared:${id} - ${type} ${escaped(source)} ${options.join(',')}\n`;
      },
    );
    return lines.join('');
  }

  /** With everything that is mounted in it. */
  detach(mount: FakeMount): void {
    const gone = new Set([mount.id]);
    // A mount is made after the one that it is in, or moved together with it.
    for (let size = 0; size < gone.size; ) {
      size = gone.size;
      for (const { id, parent } of this.#mounts) if (gone.has(parent)) gone.add(id);
    }
    this.#mounts = this.#mounts.filter(({ id }) => !gone.has(id));
  }

  move(mount: FakeMount, target: string): void {
    const from = mount.path;
    const within = (path: string) => path === from || path.startsWith(`${from}/`);
    const inside = new Set([mount.id]);
    for (let size = 0; size < inside.size; ) {
      size = inside.size;
      for (const { id, parent } of this.#mounts) if (inside.has(parent)) inside.add(id);
    }
    const parent = this.at(target)?.id ?? 1;
    for (const one of this.#mounts)
      if (inside.has(one.id) && within(one.path)) one.path = target + one.path.slice(from.length);
    mount.parent = parent;
  }

  /** As the kernel gives them out: the lowest that nobody has. */
  #freeId(): number {
    const used = new Set(this.#mounts.map(({ id }) => id));
    let id = 30;
    while (used.has(id)) id++;
    this.count++;
    return id;
  }

  /** Where a bind of this path comes from. */
  source(path: string): Omit<FakeMount, 'id' | 'parent'> | undefined {
    const mount = this.at(path);
    return mount === undefined ? undefined : { ...mount, root: below(mount, path) };
  }
}

/** A disk and what it is mounted in. */
export function plainMount(
  path: string,
  type: string,
  source: string,
  device: string,
  root = '/',
): Omit<FakeMount, 'id' | 'parent'> {
  return { device, root, path, readonly: false, type, source, superOptions: ['rw'] };
}

function below(mount: FakeMount, path: string): string {
  const rest = path.slice(mount.path === '/' ? 0 : mount.path.length);
  return mount.root === '/' ? rest || '/' : mount.root + rest;
}

function escaped(text: string): string {
  return text.replace(
    /[ \t\n\\]/g,
    (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
}

/** Layers one by one, as they may be given; without verity objects may be an ordinary layer. */
function spelledOut(options: readonly string[]): string[] {
  const separator = options.includes('verity=require') ? '::' : /::?/;
  const all = options.flatMap((option) => {
    if (!option.startsWith('lowerdir=')) return [option];
    const [lower, ...data] = option.slice('lowerdir='.length).split(separator);
    return [`lowerdir+=${lower}`, ...data.map((path) => `datadir+=${path}`)];
  });
  return all.sort();
}
