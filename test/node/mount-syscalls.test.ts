/** The calls that mount, with mounts that have no place in any tree and go with their descriptor. @module */
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { MOUNT_ATTR_RDONLY } from '../../src/core/mount/calls.ts';
import { attachLoopDevice } from '../../src/core/mount/loop.ts';
import {
  cloneMount,
  configureFileSystem,
  createMount,
  mount,
  mountMessages,
  moveMount,
  nodeMountCalls,
  openFileSystem,
  umount,
} from '../../src/node/mount-syscalls.ts';
import { requires } from '../requires.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const { describe, it } = requires({ root: true, mount: 'tmpfs' });

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('mounts');
});
afterAll(() => removeDirectory(scratch));

describe('a mount that is nowhere', () => {
  it('is used through its descriptor', () => {
    const context = openFileSystem(byteString('tmpfs'));
    configureFileSystem(context, byteString('size'), byteString('1M'));
    const fd = createMount(context);
    writeFileSync(`/proc/self/fd/${fd}/file`, 'content');
    const copy = cloneMount(byteString(`/proc/self/fd/${fd}/.`));
    expect(readdirSync(`/proc/self/fd/${copy}`)).toEqual(['file']);
    for (const open of [copy, fd, context]) closeSync(open);
  });

  it('can be read-only', () => {
    const context = openFileSystem(byteString('tmpfs'));
    const fd = createMount(context, MOUNT_ATTR_RDONLY);
    expect(() => writeFileSync(`/proc/self/fd/${fd}/file`, '')).toThrow('EROFS');
    closeSync(fd);
    closeSync(context);
  });
});

describe('what the kernel refuses', () => {
  it('is told with its own words', () => {
    const context = openFileSystem(byteString('tmpfs'));
    expect(() => configureFileSystem(context, byteString('nonsense'), byteString('1'))).toThrow(
      'fsconfig nonsense: Invalid argument',
    );
    expect(mountMessages(context)).toEqual(["tmpfs: Unknown parameter 'nonsense'"]);
    expect(mountMessages(context)).toEqual([]);
    closeSync(context);
  });

  it('is an error with its name', () => {
    expect(() => openFileSystem(byteString('no such type'))).toThrow('fsopen: No such device');
    expect(() => umount(byteString(scratch))).toThrow('umount2: Invalid argument');
    const nowhere = byteString(`${scratch}/none`);
    expect(() => mount(byteString('none'), nowhere, byteString('tmpfs'), 0, byteString(''))).toThrow(
      'mount: No such file or directory',
    );
    const root = openSync(scratch, 'r');
    expect(() => moveMount(root, nowhere)).toThrow('move_mount: No such file or directory');
    closeSync(root);
  });
});

it('a loop device shows a file and goes when it is closed', () => {
  writeFileSync(`${scratch}/image`, Buffer.alloc(8192, 'sealtree'));
  const file = openSync(`${scratch}/image`, 'r');
  const device = attachLoopDevice(nodeMountCalls, file);
  closeSync(file);
  expect(readFileSync(device.path)).toEqual(Buffer.alloc(8192, 'sealtree'));
  closeSync(device.fd);
});
