/** What dracut and initramfs-tools make of an install, and what the machine does that boots it. @module */
import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { unpack } from '../../src/initramfs/archives.ts';
import { decompress } from '../../src/initramfs/decompress.ts';
import { bootProgram } from '../initramfs/program.ts';
import { requires } from '../requires.ts';
import { expectSuccess, run, sealtree, sealtreeOk } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';
import { cpio } from './cpio.ts';
import { runMachine, type Stopped } from './machine.ts';
import { bootCommand, bootRoot, kernelFiles } from './root.ts';
import { type SystemTree, systemTree } from './system-root.ts';

const { describe, it } = requires({ root: true, boot: true, mount: 'overlay' });

type Generator = 'dracut' | 'initramfs-tools';

const GENERATORS: readonly Generator[] = ['dracut', 'initramfs-tools'];

interface SealedBoot {
  readonly name: string;
  readonly generator: Generator;
  readonly append: string;
  /** An archive behind the initramfs. */
  readonly late?: () => Uint8Array;
  readonly shows: readonly RegExp[];
}

let scratch: string;
let key: string;
const trees: SystemTree[] = [];
/** Images by `GENERATOR` and `sealed` or `drop-in`. */
const images = new Map<string, string>();

async function newTree(): Promise<SystemTree> {
  const tree = await systemTree('testing');
  trees.push(tree);
  return tree;
}

const image = (generator: Generator, kind: 'sealed' | 'drop-in') =>
  images.get(`${generator} ${kind}`) as string;

function inspect(path: string): { starts: Record<string, unknown>[]; [member: string]: unknown } {
  const found = JSON.parse(sealtreeOk(['initramfs', 'inspect', '--json', path])) as { initramfs: never[] };
  expect(found.initramfs).toHaveLength(1);
  return found.initramfs[0] as never;
}

describe('an initramfs by a real generator', () => {
  beforeAll(async () => {
    scratch = scratchDirectory('generators');
    key = sealtreeOk(['keys', 'generate', 'build'], { cwd: scratch }).split(' ')[0] as string;
    const program = `--program=${bootProgram()}`;
    const publicKey = `--key=${join(scratch, 'build.public')}`;
    const tree = await newTree();
    for (const kind of ['drop-in', 'sealed'] as const) {
      tree.install(program, publicKey, ...(kind === 'sealed' ? ['--sealed'] : []));
      for (const generator of GENERATORS)
        images.set(`${generator} ${kind}`, tree.initramfs(generator, join(scratch, `${generator}-${kind}`)));
    }
  });
  afterAll(async () => {
    for (const tree of trees) await tree.close();
    removeDirectory(scratch);
  });

  const signed = {
    program: { kind: 'sealtree' },
    mode: 'signed',
    configuration: '/usr/lib/ostree/prepare-root.conf',
    refusesAll: null,
  };

  it('of dracut enforces what was installed, though the module of ostree is there too', () => {
    expect(inspect(image('dracut', 'sealed'))).toMatchObject({
      ...signed,
      sealed: true,
      warnings: [],
      keySources: [
        { keys: [key], counts: true },
        { keys: [key], counts: false },
      ],
      starts: [
        {
          by: 'systemd',
          enabled: true,
          conditions: [],
          skippingLeadsOn: false,
          maskingLeadsOn: false,
          shell: false,
        },
      ],
    });
    expect(inspect(image('dracut', 'drop-in'))).toMatchObject({
      ...signed,
      sealed: false,
      keySources: [{ path: '/etc/ostree/initramfs-root-binding.key', keys: [key], counts: true }],
      starts: [
        {
          by: 'systemd',
          enabled: true,
          conditions: ['ConditionKernelCommandLine=ostree'],
          skippingLeadsOn: true,
        },
      ],
    });
  });

  it('of initramfs-tools enforces what was installed', () => {
    expect(inspect(image('initramfs-tools', 'sealed'))).toMatchObject({
      ...signed,
      sealed: true,
      warnings: [],
      starts: [{ by: 'initramfs-tools', path: '/scripts/init-bottom/sealtree', enabled: true, shell: false }],
    });
    expect(inspect(image('initramfs-tools', 'drop-in'))).toMatchObject({
      ...signed,
      sealed: false,
      starts: [{ by: 'initramfs-tools', enabled: true, shell: true }],
    });
  });

  it('has the modules that the mounts need, and runs before udev gives /dev away', () => {
    for (const generator of GENERATORS) {
      const { root } = unpack(readFileSync(image(generator, 'sealed')), decompress);
      const modules = byteString(`/usr/lib/modules/${kernelFiles('testing').release}`);
      const names = Buffer.from(root.file(byteString(`${modules}/modules.dep`))?.data ?? []).toString();
      for (const name of ['erofs/erofs.ko', 'overlayfs/overlay.ko', 'block/loop.ko'])
        expect(names).toContain(name);
    }
    const masks = byteString('/usr/lib/systemd/system-generators/systemd-debug-generator');
    for (const [kind, there] of [
      ['drop-in', true],
      ['sealed', false],
    ] as const)
      expect(unpack(readFileSync(image('dracut', kind)), decompress).root.file(masks) !== undefined).toBe(
        there,
      );
    const { root } = unpack(readFileSync(image('initramfs-tools', 'sealed')), decompress);
    const order = Buffer.from(root.file(byteString('/scripts/init-bottom/ORDER'))?.data ?? []).toString();
    expect(order.match(/^\/scripts\/init-bottom\/\w+/gm)).toEqual([
      '/scripts/init-bottom/sealtree',
      '/scripts/init-bottom/udev',
    ]);
  });

  it('is found in a unified kernel image by ukify, which puts one initramfs behind the other', () => {
    copyFileSync(kernelFiles('testing').vmlinuz, join(scratch, 'vmlinuz'));
    const script = `
      mount --bind "$1" "$2/mnt"
      exec chroot "$2" ukify build --linux=/mnt/vmlinuz --initrd=/mnt/initramfs-tools-drop-in --initrd=/mnt/dracut-sealed \\
        --cmdline='root=/dev/vda quiet' --os-release=ID=test --output=/mnt/test.efi`;
    const command = ['unshare', '--mount', 'sh', '-euc', script, 'sh', scratch, bootRoot() as string];
    expectSuccess(run(command, { env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } }), command);
    const found = inspect(join(scratch, 'test.efi'));
    expect(found).toMatchObject({
      ...signed,
      section: '.initrd',
      cmdline: 'root=/dev/vda quiet',
      sealed: true,
    });
    expect(found.starts.map(({ by }) => by)).toEqual(['systemd', 'initramfs-tools']);
  });

  it('is not made at all where a part of it is missing', async () => {
    const tree = await newTree();
    tree.install(`--program=${bootProgram()}`, `--key=${join(scratch, 'build.public')}`, '--sealed');
    rmSync(join(tree.path, 'usr/lib/sealtree/sealed.conf'));
    for (const generator of GENERATORS) {
      const output = join(scratch, 'incomplete');
      expect(() => tree.initramfs(generator, output)).toThrow(
        '/usr/lib/sealtree/sealed.conf cannot be put into the initramfs',
      );
    }
    expect(sealtree(['initramfs', 'inspect', join(scratch, 'incomplete')]).status).toBe(5);
  });

  /** A drop-in that an earlier stage of the boot, or a credential, might add. */
  const skipped = () =>
    cpio([
      { name: 'etc', mode: 0o40755 },
      {
        name: 'etc/systemd/system/ostree-prepare-root.service.d/x.conf',
        mode: 0o100644,
        data: '[Unit]\nConditionPathExists=/nowhere\n',
      },
    ]);

  const boots: SealedBoot[] = [
    {
      name: 'says what is wrong with the disk, and powers off',
      generator: 'dracut',
      append: '',
      shows: [
        /ostree-prepare-root: boot refused: /,
        /The system was not verified and is not started/,
        /reboot: Power down/,
      ],
    },
    {
      name: 'does not go on where a kernel argument masks the unit',
      generator: 'dracut',
      append: 'rd.systemd.mask=ostree-prepare-root.service',
      shows: [
        /boot refused: kernel argument rd\.systemd\.mask=ostree-prepare-root\.service can lead around/,
        /Assertion failed for initrd-root-fs.target/,
        /The system was not verified and is not started/,
        /reboot: Power down/,
      ],
    },
    {
      name: 'does not go on where the unit is passed over',
      generator: 'dracut',
      append: '',
      late: skipped,
      shows: [
        /Assertion failed for initrd-root-fs.target/,
        /The system was not verified and is not started/,
        /reboot: Power down/,
      ],
    },
    {
      name: 'gives no shell to who asks for one',
      generator: 'dracut',
      append: 'rd.break=pre-mount',
      shows: [/The system was not verified and is not started/, /reboot: Power down/],
    },
    {
      name: 'of initramfs-tools says what is wrong, and powers off whatever panic= says',
      generator: 'initramfs-tools',
      append: 'panic=-1',
      shows: [/boot refused: /, /The system was not verified and is not started/, /reboot: Power down/],
    },
    {
      name: 'of initramfs-tools gives no shell to who asks for one',
      generator: 'initramfs-tools',
      append: 'break=mount',
      shows: [/Spawning shell within the initramfs/, /Power off in 30 seconds/, /reboot: Power down/],
    },
  ];
  // Half of the time each of them waits for its power off: they run at the same time.
  let shown: readonly Stopped[] = [];
  it('boots', async () => {
    shown = await Promise.all(boots.map(bootWithEmptyDisk));
  });

  boots.forEach(({ name, shows }, index) => {
    it(name, () => {
      const { console: text = '', seconds = 0 } = shown[index] ?? {};
      const plain = text.replace(/\x1b\[[0-9;]*[A-Za-z]/g, '');
      for (const pattern of shows) expect(plain).toMatch(pattern);
      expect(plain).not.toMatch(/Reached target initrd-switch-root|Switching root/);
      expect(seconds).toBeGreaterThan(30);
    });
  });
});

async function bootWithEmptyDisk({ generator, append, late }: SealedBoot): Promise<Stopped> {
  const folder = scratchDirectory('boot');
  try {
    const disk = join(folder, 'disk');
    writeFileSync(disk, '');
    truncateSync(disk, 32 * 2 ** 20);
    expectSuccess(run(bootCommand('mkfs.ext4', ['-q', '-F', disk])), ['mkfs.ext4']);
    const initrd = join(folder, 'initrd');
    writeFileSync(
      initrd,
      Buffer.concat([readFileSync(image(generator, 'sealed')), late?.() ?? Buffer.alloc(0)]),
    );
    return await runMachine({
      kernel: kernelFiles('testing').vmlinux,
      initrd,
      append: `console=ttyS0 root=/dev/vda rw ${append}`,
      disks: [{ path: disk }],
      folder,
      timeout: 400_000,
      memory: 768,
    });
  } finally {
    removeDirectory(folder);
  }
}
