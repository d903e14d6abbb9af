/** What the boot program finds out about its kernel; answers of the calls as Linux 5.0, 6.1, 6.5 and 6.12 give them. @module */
import { describe, expect, it } from 'vitest';
import { type ErrorName, systemCallError } from '../../../src/core/errno.ts';
import { kernelFault } from '../../../src/core/verify/kernel.ts';
import { probeKernel } from '../../../src/core/verify/probe-kernel.ts';
import { DIRECTORY, file, type MemoryTree, memorySystem } from '../../memory-system.ts';

interface Kernel {
  readonly release: string;
  /** Lines of /proc/filesystems. */
  readonly registered?: readonly string[];
  /** File systems that fsopen can have; undefined where there is no such call. */
  readonly loadable?: readonly string[] | undefined;
  /** Options that overlayfs knows; undefined if it takes any until it mounts. */
  readonly options?: readonly string[];
  /** Names in /sys/fs/ext4/features; undefined for no such folder. */
  readonly ext4?: readonly string[];
  readonly loop?: ErrorName;
}

function probe(kernel: Kernel) {
  const tree: MemoryTree = new Map([
    ['/proc/sys/kernel/osrelease', file(`${kernel.release}\n`)],
    ['/proc/filesystems', file((kernel.registered ?? []).map((name) => `nodev\t${name}\n`).join(''))],
    ...(kernel.ext4 === undefined ? [] : [['/sys/fs/ext4/features', DIRECTORY] as const]),
    ...(kernel.ext4 ?? []).map((name) => [`/sys/fs/ext4/features/${name}`, file('supported\n')] as const),
  ]);
  const asked: string[] = [];
  const open = new Set<number>();
  const descriptor = () => {
    open.add(open.size + 3);
    return open.size + 2;
  };
  const facts = probeKernel(memorySystem(tree), {
    openFileSystem(type) {
      asked.push(type);
      if (kernel.loadable === undefined) throw systemCallError('fsopen', 'ENOSYS');
      if (!kernel.loadable.includes(type)) throw systemCallError('fsopen', 'ENODEV');
      return descriptor();
    },
    configureFileSystem(_, key) {
      if (kernel.options?.includes(key) === false) throw systemCallError('fsconfig', 'EINVAL');
    },
    openDevice() {
      if (kernel.loop !== undefined) throw systemCallError('open', kernel.loop);
      return descriptor();
    },
    close: (fd) => void open.delete(fd),
  });
  const fault = (verity: boolean, signed: boolean) => kernelFault({ verity, signed }, facts)?.message;
  return { facts, fault, asked, open };
}

const BOTH = ['erofs', 'overlay'];
const OVERLAY_6_12 = ['metacopy', 'redirect_dir', 'verity', 'lowerdir+', 'datadir+'];

describe('probeKernel', () => {
  it('asks for nothing before it is asked, and leaves nothing open', () => {
    const { facts, fault, asked, open } = probe({ release: '6.12.1', loadable: BOTH, options: OVERLAY_6_12 });
    expect(facts.release).toBe('6.12.1');
    expect(asked).toEqual([]);
    expect(fault(false, false)).toBeUndefined();
    expect(asked).toEqual(BOTH);
    expect(fault(true, true)).toBeUndefined();
    expect(open.size).toBe(0);
  });

  it('finds file systems that are registered, or have a module', () => {
    for (const kernel of [{ registered: BOTH }, { loadable: BOTH }])
      expect(probe({ release: '6.1.0', ...kernel }).facts.features).toMatchObject({
        erofs: true,
        overlay: true,
      });
  });

  it('names the file system that the kernel lacks, before anything is mounted', () => {
    const missing = (name: string) =>
      probe({ release: '6.12.1', loadable: BOTH.filter((other) => other !== name) }).fault(false, false);
    expect(missing('erofs')).toBe('kernel 6.12.1 lacks CONFIG_EROFS_FS: the image is an EROFS file system');
    expect(missing('overlay')).toBe('kernel 6.12.1 lacks CONFIG_OVERLAY_FS: composefs is an overlay');
  });

  it('does not know of modules where there is no fsopen', () => {
    const { facts, fault } = probe({ release: '5.0.21', loadable: undefined, registered: ['overlay'] });
    expect(facts.features).toMatchObject({ erofs: undefined, overlay: true, 'overlay verity': undefined });
    expect(fault(false, false)).toContain('EROFS file system, which Linux has since 5.4');
  });

  it('believes overlayfs about its options where that reads them one by one', () => {
    const release = '5.14.0-503.el9';
    const backported = probe({ release, loadable: BOTH, options: OVERLAY_6_12 });
    expect(backported.facts.features).toMatchObject({ 'data-only layers': true, 'overlay verity': true });
    expect(backported.fault(true, true)).toBeUndefined();
    const without = probe({ release: '6.5.13', loadable: BOTH, options: ['metacopy', 'redirect_dir'] });
    expect(without.facts.features).toMatchObject({ 'data-only layers': true, 'overlay verity': false });
    expect(without.fault(true, true)).toBe(
      'kernel 6.5.13 is too old: the overlay must demand verity=require, which Linux has since 6.6',
    );
  });

  it('goes by the version where overlayfs takes any option', () => {
    const { facts, fault } = probe({ release: '6.1.0-50-cloud-amd64', loadable: BOTH });
    expect(facts.features).toMatchObject({ 'data-only layers': undefined, 'overlay verity': undefined });
    expect(fault(true, true)).toContain('verity=require, which Linux has since 6.6');
    expect(fault(false, false)).toBeUndefined();
  });

  it('finds fs-verity among the features of the file systems', () => {
    const given = { release: '6.12.1', loadable: BOTH, options: OVERLAY_6_12 };
    expect(probe({ ...given, ext4: ['casefold', 'verity'] }).facts.features['fs-verity']).toBe(true);
    expect(probe(given).facts.features['fs-verity']).toBeUndefined();
    const { fault } = probe({ ...given, ext4: ['casefold'] });
    expect(fault(true, true)).toBe(
      'kernel 6.12.1 lacks CONFIG_FS_VERITY: the image and its files are checked by fs-verity',
    );
    expect(fault(true, false)).toBeUndefined();
  });

  it('asks for loop devices only where an image needs one', () => {
    expect(
      probe({ release: '6.12.1', registered: BOTH, loop: 'ENOENT' }).fault(false, false),
    ).toBeUndefined();
    expect(probe({ release: '6.1.0', registered: BOTH }).fault(false, false)).toBeUndefined();
    for (const loop of ['ENOENT', 'ENODEV', 'ENXIO'] as const)
      expect(probe({ release: '6.1.0', registered: BOTH, loop }).fault(false, false)).toBe(
        'kernel 6.1.0 is too old: without loop devices the image is mounted from its file, which Linux has since 6.12',
      );
    expect(probe({ release: '6.1.0', registered: BOTH, loop: 'EACCES' }).facts.features.loop).toBeUndefined();
  });
});
