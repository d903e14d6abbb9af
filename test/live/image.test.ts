/**
 * `sealtree image` and `image verify` on a physical root that the real ostree deployed to: what the tools of e2fsprogs,
 * dosfstools and gdisk say of the disk, and what a changed byte leads to. That a kernel takes it: test/boot.
 */
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { Ext4Reader } from '../../src/core/ext4/reader.ts';
import { DISK_TOOLS } from '../disk-tools.ts';
import { requires } from '../requires.ts';
import { expectSuccess, run, sealtree, sealtreeOk } from '../run.ts';

const ARCHIVE = fileURLToPath(new URL('../vectors/ostree/deploy/sysroot-signed.tar.gz', import.meta.url));
const KEY = fileURLToPath(new URL('../vectors/ostree/keys/a.public', import.meta.url));
const WRONG_KEY = fileURLToPath(new URL('../vectors/ostree/keys/wrong.public', import.meta.url));
const COMMIT = '89824b2792ed896a87e87cf1e913d569dbe0f71718e2d6e6daf0b33681f7fb28';
const DEPLOYMENT = `ostree/deploy/golden/deploy/${COMMIT}.0`;
const MEBIBYTE = 1024 * 1024;

/** Bytes of a disk. */
interface Place {
  readonly start: number;
  readonly size: number;
}

/** The command that copies a partition out of a disk. */
function copyOut(disk: string, { start, size }: Place, to: string): string[] {
  const blocks = [`skip=${start / MEBIBYTE}`, `count=${size / MEBIBYTE}`, 'bs=1M'];
  return ['dd', `if=${disk}`, `of=${to}`, ...blocks, 'conv=sparse', 'status=none'];
}

const { describe } = requires({ root: true, programs: DISK_TOOLS });

interface MadeDisk {
  readonly size: number;
  readonly partitions: readonly { name: string; start: number; size: number }[];
}

describe('a disk made of a repository', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sealtree-image-'));
    const modules = join(folder, 'tree/usr/lib/modules/6.12');
    mkdirSync(modules, { recursive: true });
    mkdirSync(join(folder, 'tree/usr/lib/ostree'));
    mkdirSync(join(folder, 'tree/usr/etc'));
    writeFileSync(join(modules, 'vmlinuz'), 'kernel');
    writeFileSync(join(modules, 'initramfs.img'), 'initramfs');
    writeFileSync(join(folder, 'tree/usr/lib/os-release'), 'ID=x\nPRETTY_NAME="X 1"\n');
    writeFileSync(
      join(folder, 'tree/usr/lib/ostree/prepare-root.conf'),
      '[composefs]\nenabled=signed\n[etc]\ntransient=true\n',
    );
    sealtreeOk(['init', '--repo=repo', '--mode=bare'], { cwd: folder });
    const words = ['--branch=os', '--bootable', '--generate-composefs-metadata', '--timestamp=@1700000000'];
    const key = '--sign-transient=key.public';
    sealtreeOk(['commit', '--repo=repo', ...words, key, '--tree=dir=tree'], { cwd: folder });
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  it('has the commit deployed, and is the same when it is made again', () => {
    for (const name of ['disk.raw', 'again.raw'])
      sealtreeOk(['image', '--repo=repo', '--karg=console=ttyS0', `--output=${name}`], { cwd: folder });
    expectSuccess(run(['cmp', 'disk.raw', 'again.raw'], { cwd: folder }), ['cmp']);
    const found = sealtreeOk(['image', 'verify', '--keys-file=key.public', 'disk.raw'], { cwd: folder });
    expect(found).toMatch(/^yes {3}backing files: all 4 have fs-verity on/m);
    // Nothing of the physical root that it was made of is left.
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it.each([
    { boot: 'esp', path: '/loader/entries/ostree-1-1.conf', bootVersion: 1 },
    { boot: 'ext4', path: '/loader/entries/ostree-1.conf', bootVersion: 1 },
  ])('has a boot entry that names it by its UUID on $boot', ({ boot, path, bootVersion }) => {
    const disk = JSON.parse(
      sealtreeOk(['image', '--repo=repo', `--boot=${boot}`, '--output=entry.raw', '--json'], { cwd: folder }),
    ) as MadeDisk & { rootUuid: string };
    run(copyOut('entry.raw', disk.partitions[0] as Place, 'boot.img'), { cwd: folder });
    const read =
      boot === 'esp'
        ? run(['mtype', '-i', 'boot.img', `::${path}`], { cwd: folder })
        : run(['debugfs', '-R', `cat ${path}`, 'boot.img'], { cwd: folder });
    expect(read.stdout).toMatch(
      new RegExp(
        `^options root=UUID=${disk.rootUuid} rw ostree=/ostree/boot\\.${bootVersion}/default/[0-9a-f]{64}/0$`,
        'm',
      ),
    );
  });

  it('is started by systemd-boot where the system has that', () => {
    const loader = join(folder, 'tree/usr/lib/systemd/boot/efi');
    mkdirSync(loader, { recursive: true });
    writeFileSync(join(loader, 'systemd-bootx64.efi'), 'loader');
    const words = ['--branch=loader', '--generate-composefs-metadata', '--tree=dir=tree'];
    sealtreeOk(['commit', '--repo=repo', ...words], { cwd: folder });
    const image = ['image', '--repo=repo', '--output=loader.raw', '--architecture=x86_64'];
    expect(sealtreeOk([...image, '--ref=os'], { cwd: folder })).toContain(
      '\nstarted by firmware: nothing yet: see --boot-file\n',
    );
    expect(sealtreeOk([...image, '--ref=loader'], { cwd: folder })).toContain(
      '\nstarted by firmware: EFI/BOOT/BOOTX64.EFI\n',
    );
  });

  it('wants to know which of several branches is meant', () => {
    sealtreeOk(['refs', '--repo=repo', '--create=other', 'os'], { cwd: folder });
    const ran = sealtree(['image', '--repo=repo', '--output=none.raw'], { cwd: folder });
    expect(ran.status).toBe(2);
    expect(ran.stderr).toBe(
      'sealtree: --ref: the repository has not just one branch, but loader, os, other\n',
    );
  });
});

describe('a disk made of what ostree deployed', () => {
  let folder: string;
  let made: MadeDisk;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sealtree-image-'));
    ok(['tar', '--extract', '--xattrs', '--xattrs-include=*', `--file=${ARCHIVE}`]);
    made = JSON.parse(
      sealtreeOk(['image', '--sysroot=signed', '--output=disk.raw', '--json'], { cwd: folder }),
    ) as MadeDisk;
    partition('esp');
    partition('root');
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  function ok(command: readonly string[]): string {
    return expectSuccess(run(command, { cwd: folder }), command);
  }

  function placeOf(name: string) {
    const found = made.partitions.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no partition ${name}`);
    return found;
  }

  function partition(name: string): void {
    ok(copyOut('disk.raw', placeOf(name), `${name}.img`));
  }

  it('has a partition table that sgdisk finds nothing wrong with', () => {
    expect(ok(['sgdisk', '--verify', 'disk.raw'])).toContain('No problems found.');
    expect(ok(['sgdisk', '--print', 'disk.raw'])).toMatch(/ EF00 {2}esp\n.* 8304 {2}root\n/);
  });

  it('has a root file system that e2fsck finds nothing wrong with', () => {
    ok(['e2fsck', '-f', '-n', 'root.img']);
    const features = ok(['dumpe2fs', '-h', 'root.img']);
    expect(features).toMatch(/^Filesystem features:.* metadata_csum verity$/m);
  });

  it('has the same files as the directory', () => {
    const image = `/${DEPLOYMENT}/.ostree.cfs`;
    ok(['debugfs', '-R', `dump ${image} image.cfs`, 'root.img']);
    expect(readFileSync(join(folder, 'image.cfs')).equals(readFileSync(join(folder, 'signed', image)))).toBe(
      true,
    );
    // EXT4_VERITY_FL and EXT4_EXTENTS_FL; the deployment has EXT4_IMMUTABLE_FL, as ostree has it.
    expect(ok(['debugfs', '-R', `stat ${image}`, 'root.img'])).toMatch(/Flags: 0x180000$/m);
    expect(ok(['debugfs', '-R', `stat /${DEPLOYMENT}`, 'root.img'])).toMatch(/Flags: 0x80010$/m);
  });

  it('has a boot partition that fsck.vfat finds nothing wrong with', () => {
    ok(['fsck.vfat', '-n', 'esp.img']);
    ok(['mcopy', '-i', 'esp.img', '::loader/entries/ostree-1.conf', 'entry.conf']);
    expect(readFileSync(join(folder, 'entry.conf'), 'utf8')).toBe(
      readFileSync(join(folder, 'signed/boot/loader/entries/ostree-1.conf'), 'utf8'),
    );
  });

  it('is the same when it is made again', () => {
    sealtreeOk(['image', '--sysroot=signed', '--output=again.raw'], { cwd: folder });
    ok(['cmp', 'disk.raw', 'again.raw']);
  });

  it('can have a boot partition that is ext4, and files of one’s own in it', () => {
    const words = ['--boot=ext4', '--boot-size=64M', '--size=1G', '--boot-file=EFI/own.efi=entry.conf'];
    const disk = JSON.parse(
      sealtreeOk(['image', '--sysroot=signed', '--output=other.raw', '--json', ...words], { cwd: folder }),
    ) as MadeDisk;
    expect(statSync(join(folder, 'other.raw')).size).toBe(1024 * MEBIBYTE);
    expect(disk.partitions[0]).toMatchObject({ name: 'boot', size: 64 * MEBIBYTE });
    ok(['dd', 'if=other.raw', 'of=boot.img', 'bs=1M', 'skip=1', 'count=64', 'conv=sparse', 'status=none']);
    ok(['e2fsck', '-f', '-n', 'boot.img']);
    expect(ok(['debugfs', '-R', 'stat /loader', 'boot.img'])).toContain('Fast link dest: "loader.1"');
    expect(ok(['debugfs', '-R', 'cat /EFI/own.efi', 'boot.img'])).toContain('linux /ostree/golden-');
  });

  it('does not fit a disk that is too small', () => {
    const ran = sealtree(['image', '--sysroot=signed', '--output=small.raw', '--size=520M'], { cwd: folder });
    expect(ran.status).toBe(6);
    expect(ran.stderr).toMatch(/^sealtree: root partition: a file system of 6291456 bytes has room for /);
  });

  it('is verified with the key that signed the commit, and not with another', () => {
    expect(sealtreeOk(['image', 'verify', `--keys-file=${KEY}`, 'disk.raw'], { cwd: folder })).toContain(
      'yes   backing files: all 8 have fs-verity on, with the digests that the image names',
    );
    const other = sealtree(['image', 'verify', `--keys-file=${WRONG_KEY}`, 'disk.raw'], { cwd: folder });
    expect(other.status).toBe(3);
    expect(other.stdout).toContain('NO    signature: No valid (of 1) signatures found');
  });

  // The paths are those of the golden tree; the hostname is in two places, which share an object.
  const hostname = 'usr/etc/hostname';
  it.each([
    {
      what: 'content of an object',
      file: hostname,
      at: 0,
      says: 'content: block 0: hash is not',
      path: `/${hostname}`,
    },
    {
      what: 'descriptor of an object',
      file: hostname,
      at: 65536 + 16,
      says: 'content: block 0: hash is not',
      path: `/${hostname}`,
    },
    {
      what: 'version in a descriptor',
      file: hostname,
      at: 65536,
      says: 'descriptor has version',
      path: `/${hostname}`,
    },
    {
      what: 'tree of an object',
      file: 'usr/lib/modules/6.12.0-golden/vmlinuz',
      at: 65536,
      says: 'Merkle tree, level 0: block 0',
      path: '/usr/lib/modules/6.12.0-golden/vmlinuz',
    },
    {
      what: 'image',
      file: '.ostree.cfs',
      at: 1100,
      says: 'content: block 0: hash is not',
      path: '.ostree.cfs',
    },
    {
      what: 'tree of the image',
      file: '.ostree.cfs',
      at: 65536 + 40,
      says: 'Merkle tree, level 0: block 0',
      path: '.ostree.cfs',
    },
  ])('names the $what when a byte of it is changed', ({ file, at, says, path }) => {
    const changed = change(`${DEPLOYMENT}/${file}`, at);
    try {
      const ran = sealtree(['image', 'verify', `--keys-file=${KEY}`, 'disk.raw'], { cwd: folder });
      expect(ran.status).toBe(3);
      expect(ran.stdout).toContain(says);
      expect(ran.stdout).toContain(path);
    } finally {
      changed();
    }
  });

  it('names the object of which fs-verity is off', () => {
    const { start } = placeOf('root');
    const reader = readerOf(start);
    const inode = reader.lookUp(byteString(`${DEPLOYMENT}/${hostname}`));
    ok(['cp', '--sparse=always', 'root.img', 'off.img']);
    ok(['debugfs', '-w', '-R', `set_inode_field <${inode?.number}> flags 0x80000`, 'off.img']);
    const ran = sealtree(['image', 'verify', `--keys-file=${KEY}`, 'off.img'], { cwd: folder });
    expect(ran.status).toBe(3);
    expect(ran.stdout).toMatch(/^damaged: ostree\/repo\/objects\/.*: fs-verity is not on$/m);
    expect(ran.stdout).toContain(`    /${hostname}\n`);
  });

  function readerOf(start: number): Ext4Reader {
    const fd = openSync(join(folder, 'disk.raw'), 'r');
    const source = {
      size: placeOf('root').size,
      read(at: number, length: number) {
        const data = new Uint8Array(length);
        readSync(fd, data, 0, length, start + at);
        return data;
      },
    };
    return new Ext4Reader(source);
  }

  /** Changes a byte of a file where it lies on the disk. @returns changes it back */
  function change(path: string, at: number): () => void {
    const { start } = placeOf('root');
    const reader = readerOf(start);
    const inode = reader.lookUp(byteString(path));
    if (inode === undefined) throw new Error(`${path} is not on the disk`);
    const extent = reader.extents(inode).find(({ logical, length }) => at < (logical + length) * 4096);
    if (extent === undefined) throw new Error(`${path} has no byte ${at}`);
    const place = start + (extent.physical - extent.logical) * 4096 + at;
    const flip = () => {
      const fd = openSync(join(folder, 'disk.raw'), 'r+');
      const byte = new Uint8Array(1);
      readSync(fd, byte, 0, 1, place);
      writeSync(
        fd,
        byte.map((value) => value ^ 1),
        0,
        1,
        place,
      );
      closeSync(fd);
    };
    flip();
    return flip;
  }
});
