/** Partition tables: written, read, damaged. What sgdisk and sfdisk say of them: test/live/image.test.ts. */
import { describe, expect, it } from 'vitest';
import { PARTITION_TYPE, type Partition, ROOT_TYPES, readGpt, writeGpt } from '../../../src/core/gpt/gpt.ts';
import { memoryDisk } from '../../memory-disk.ts';

const SIZE = 4 * 1024 * 1024;
const PARTITIONS: Partition[] = [
  {
    type: PARTITION_TYPE.esp,
    id: '00112233-4455-8677-8899-aabbccddeeff',
    name: 'esp',
    start: 1024 * 1024,
    size: 1024 * 1024,
  },
  {
    type: ROOT_TYPES.x86_64 as string,
    id: 'ffeeddcc-bbaa-8988-8766-554433221100',
    name: 'root',
    start: 2 * 1024 * 1024,
    size: 1024 * 1024,
  },
];

function disk() {
  const memory = memoryDisk(SIZE);
  writeGpt(SIZE, '01234567-89ab-8def-8123-456789abcdef', PARTITIONS, memory.sink);
  return memory;
}

describe('readGpt', () => {
  it('reads what was written', () => expect(readGpt(disk().source)).toEqual(PARTITIONS));

  it.each([
    ['header', 512 + 40],
    ['entries', 1024 + 5],
  ])('reads the copy where the %s is damaged', (_, at) => {
    const { source, bytes } = disk();
    bytes[at] = (bytes[at] as number) ^ 1;
    expect(readGpt(source)).toEqual(PARTITIONS);
    bytes[SIZE - 512 + 40] = (bytes[SIZE - 512 + 40] as number) ^ 1;
    expect(() => readGpt(source)).toThrow(/^partition table: (header|entries) ha(s|ve) a wrong checksum$/);
  });

  it('knows a disk without a table', () => {
    expect(readGpt(memoryDisk(SIZE).source)).toBeUndefined();
    expect(readGpt(memoryDisk(1024).source)).toBeUndefined();
  });
});
