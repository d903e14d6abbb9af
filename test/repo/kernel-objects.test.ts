/** What the kernel's word on the objects of a deployment counts; what a real kernel says: test/boot/image.test.ts. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { bytesFromHex } from '../../src/core/bytes/hex.ts';
import type { ComposefsFile } from '../../src/core/ostree/composefs-tree.ts';
import type { VerityEvidence } from '../../src/core/system.ts';
import { nodeSystem } from '../../src/node/system.ts';
import { checkKernelObjects } from '../../src/repo/kernel-objects.ts';
import { Repo } from '../../src/repo/repo.ts';
import { unpackGoldenRepo } from '../golden-repo.ts';
import { EXT4 } from '../memory-system.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const FUSE = 0x65735546;
const DIGEST = 'd'.repeat(64);
const HEADER = { uid: 0, gid: 0, rdev: 0, symlinkTarget: byteString(''), xattrs: [] };
const CONTENT: ComposefsFile = { header: { ...HEADER, mode: 0o100644 }, size: 1, verity: DIGEST };

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('kernel-objects');
});
afterAll(() => removeDirectory(scratch));

describe('the file objects of a deployment', () => {
  const files = new Map<string, ComposefsFile | undefined>([
    ['a'.repeat(64), CONTENT],
    ['b'.repeat(64), { ...CONTENT, size: 0, verity: undefined }],
    ['c'.repeat(64), { ...CONTENT, header: { ...HEADER, mode: 0o120777 } }],
    ['e'.repeat(64), undefined],
  ]);
  const check = (mode: string, evidence: VerityEvidence | undefined) => {
    const repo = Repo.open(byteString(unpackGoldenRepo('basic', mode, scratch)));
    const asked: string[] = [];
    const system = {
      ...nodeSystem,
      examineVerity: (path: string) => {
        asked.push(path.slice(scratch.length));
        return evidence;
      },
    };
    return { ...checkKernelObjects(repo, files, system), asked };
  };
  const measured = (digest: string, algorithm: 'sha256' | 'sha512' = 'sha256') => ({
    fileSystem: EXT4,
    enforced: true,
    digest: { algorithm, digest: bytesFromHex(digest) },
  });

  it('are asked for where an image has content of theirs', () => {
    const { check: found, faults, asked } = check('bare-user', measured(DIGEST));
    expect({ found, faults }).toEqual({
      found: {
        name: 'objects in the kernel',
        status: 'passed',
        message: 'the kernel measures of all 1 what the image names',
      },
      faults: [],
    });
    expect(asked).toEqual([expect.stringMatching(/\/objects\/aa\/a{62}\.file$/)]);
  });

  it.each([
    {
      what: 'is off',
      evidence: { fileSystem: EXT4, enforced: false, digest: 'off' } as const,
      fault: { fault: 'fs-verity is off: it would not be read', expected: DIGEST },
    },
    {
      what: 'gives another digest',
      evidence: measured('f'.repeat(64)),
      fault: {
        fault: `the kernel measures sha256 ${'f'.repeat(64)}`,
        expected: DIGEST,
        found: 'f'.repeat(64),
      },
    },
    {
      what: 'is of another algorithm',
      evidence: measured(DIGEST.repeat(2), 'sha512'),
      fault: {
        fault: `the kernel measures sha512 ${DIGEST.repeat(2)}`,
        expected: DIGEST,
        found: DIGEST.repeat(2),
      },
    },
  ])('are refused where fs-verity $what', ({ evidence, fault }) => {
    const { check: found, faults } = check('bare-user', evidence);
    expect(found).toMatchObject({ status: 'failed', message: '1 of 1 would not be read' });
    expect(faults).toEqual([{ type: 'file', checksum: 'a'.repeat(64), ...fault }]);
  });

  it.each([
    {
      what: 'the file system has no fs-verity',
      mode: 'bare-user',
      evidence: { fileSystem: EXT4, enforced: false, digest: undefined },
    },
    {
      what: 'a server answers',
      mode: 'bare-user',
      evidence: { ...measured('f'.repeat(64)), fileSystem: FUSE },
    },
    { what: 'there is none', mode: 'bare-user', evidence: undefined },
    { what: 'they are compressed', mode: 'archive', evidence: measured(DIGEST) },
  ])('are not judged where $what', ({ mode, evidence }) => {
    const { check: found, faults } = check(mode, evidence);
    expect(faults).toEqual([]);
    expect(found).toMatchObject({ status: 'skipped' });
    expect(found.message).toContain('it cannot be told here of 1 of 1 whether fs-verity is on');
  });
});
