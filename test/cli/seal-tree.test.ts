/** keys/seal-tree.sh, the build script that shows how a transient key is used. */
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { link, run, sealtreeOk } from '../run.ts';

const SCRIPT = fileURLToPath(new URL('../../keys/seal-tree.sh', import.meta.url));
const CONFIGURATION = fileURLToPath(new URL('../../conf/prepare-root.conf', import.meta.url));
const MODULES = 'tree/usr/lib/modules/6.12';

let folder: string;
/** A folder of its own in memory, where the script keeps what is secret. */
let memory: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealtree-keys-'));
  memory = mkdtempSync('/dev/shm/sealtree-test-');
  mkdirSync(join(folder, MODULES), { recursive: true });
  writeFileSync(join(folder, MODULES, 'vmlinuz'), 'a kernel');
  writeFileSync(join(folder, MODULES, 'initramfs.img'), 'archive');
});

afterEach(() => {
  for (const path of [folder, memory]) rmSync(path, { recursive: true });
});

function seal(words: readonly string[], env: Record<string, string> = {}) {
  return run(['bash', SCRIPT, ...words], {
    cwd: folder,
    env: { SEALTREE: link(), MODE: 'bare-user', XDG_RUNTIME_DIR: memory, ...env },
  });
}

/** The entries of a "newc" archive, by name. */
function readArchive(data: Buffer): Map<string, { mode: number; content: string }> {
  const entries = new Map<string, { mode: number; content: string }>();
  for (let at = 0; at < data.length; ) {
    expect(data.toString('latin1', at, at + 6)).toBe('070701');
    const field = (index: number) =>
      Number.parseInt(data.toString('latin1', at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    const name = data.toString('latin1', at + 110, at + 110 + nameSize - 1);
    const start = Math.ceil((at + 110 + nameSize) / 4) * 4;
    entries.set(name, { mode, content: data.toString('latin1', start, start + size) });
    at = Math.ceil((start + size) / 4) * 4;
  }
  return entries;
}

describe.each([[[]], [['--stored-key']]])('seal-tree.sh %j', (options) => {
  it('puts the key that signs the commit into the initramfs that the commit holds', () => {
    const { status, stderr, stdout } = seal([...options, 'tree', 'repo', 'os']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('\nvalid\n');

    const image = sealtreeOk(['cat', '--repo=repo', 'os', '/usr/lib/modules/6.12/initramfs.img'], {
      cwd: folder,
    });
    expect(image.slice(0, 8)).toBe('archive\0');
    const entries = readArchive(Buffer.from(image, 'latin1').subarray(8));
    expect([...entries.keys()]).toEqual([
      'etc',
      'etc/ostree',
      'etc/ostree/initramfs-root-binding.key',
      'etc/ostree/prepare-root.conf',
      'TRAILER!!!',
    ]);
    expect(entries.get('etc/ostree')?.mode).toBe(0o40755);
    expect(entries.get('etc/ostree/prepare-root.conf')).toEqual({
      mode: 0o100644,
      content: readFileSync(CONFIGURATION, 'latin1'),
    });

    const key = entries.get('etc/ostree/initramfs-root-binding.key')?.content ?? '';
    writeFileSync(join(folder, 'key'), key);
    const verified = sealtreeOk(['sign', '--repo=repo', '--verify', '--keys-file=key', 'os'], {
      cwd: folder,
    });
    expect(verified).toContain('Signature verified successfully');
    // Nothing of the key is left behind.
    expect(readdirSync(memory)).toEqual([]);
  });
});

describe('seal-tree.sh', () => {
  it('leaves other names of the initramfs alone', () => {
    linkSync(join(folder, MODULES, 'initramfs.img'), join(folder, 'elsewhere'));
    expect(seal(['tree', 'repo', 'os']).status).toBe(0);
    expect(readFileSync(join(folder, 'elsewhere'), 'utf8')).toBe('archive');
    expect(statSync(join(folder, 'elsewhere')).nlink).toBe(1);
  });

  it('lets another command build the initramfs', () => {
    writeFileSync(join(folder, 'build'), '#!/bin/sh\ncat "$2" >>"$1"/usr/lib/modules/6.12/initramfs.img\n', {
      mode: 0o755,
    });
    expect(seal(['tree', 'repo', 'os'], { BUILD_INITRAMFS: './build' }).status).toBe(0);
    expect(readFileSync(join(folder, MODULES, 'initramfs.img'), 'utf8')).toMatch(/^archive[\w+/]{43}=\n$/);
  });

  it.each([
    { words: ['tree'], status: 2, message: /^usage: / },
    {
      words: ['nosuch', 'repo', 'os'],
      status: 1,
      message: /^nosuch: no usr\/lib\/modules\/VERSION\/initramfs\.img\n/,
    },
  ])('refuses $words and leaves no key', ({ words, status, message }) => {
    const ran = seal(words);
    expect(ran.status).toBe(status);
    expect(ran.stderr).toMatch(message);
    expect(readdirSync(memory)).toEqual([]);
  });
});
