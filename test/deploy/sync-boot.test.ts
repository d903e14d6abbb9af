/** What is in the journal alone is not seen by a boot loader, which reads the file system as debugfs does. */
import { closeSync, fsyncSync, openSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { flushJournal } from '../../src/deploy/sync-boot.ts';
import { mountNamespace } from '../namespace.ts';
import { requires } from '../requires.ts';
import { expectSuccess, run } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const programs = ['mkfs.ext4', 'debugfs', 'fsfreeze', 'nsenter'];
const needs = requires({ root: true, mount: 'tmpfs', programs });

needs.it('a flushed journal leaves everything in its place', async () => {
  const scratch = scratchDirectory('journal');
  const image = join(scratch, 'image');
  writeFileSync(image, '');
  truncateSync(image, 32 << 20);
  expectSuccess(run(['mkfs.ext4', '-q', '-F', image]), ['mkfs.ext4']);
  const namespace = await mountNamespace();
  try {
    namespace.sh('mount -o loop,commit=300 "$1" /mnt', image);
    const file = namespace.path('/mnt/entry');
    const fd = openSync(file, 'w');
    writeSync(fd, 'title x\n');
    fsyncSync(fd);
    closeSync(fd);
    const read = () => run(['debugfs', '-R', 'cat /entry', image]).stdout;
    await flushJournal(byteString(namespace.path('/mnt')));
    expect(read()).toBe('title x\n');
    // Thawed again: it can be written.
    writeFileSync(namespace.path('/mnt/after'), 'x');
    namespace.sh('umount /mnt');
  } finally {
    await namespace.close();
    removeDirectory(scratch);
  }
});
