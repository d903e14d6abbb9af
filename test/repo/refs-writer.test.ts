/** What writing refs leaves behind, and who may write them. */
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { initRepository } from '../../src/repo/init.ts';
import { writeRefs } from '../../src/repo/refs-writer.ts';
import { Repo } from '../../src/repo/repo.ts';
import { requires } from '../requires.ts';
import { expectSuccess, link, run } from '../run.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';

const CHECKSUM = 'c'.repeat(64);

let scratch: string;
beforeAll(() => {
  scratch = scratchDirectory('refs-writer');
});
afterAll(() => removeDirectory(scratch));

describe('a ref that cannot be written', () => {
  it('leaves no temporary file behind', () => {
    const path = join(scratch, 'repo');
    initRepository(byteString(path), { mode: 'archive' });
    mkdirSync(join(path, 'refs/heads/os'));
    writeFileSync(join(path, 'refs/heads/os/main'), `${CHECKSUM}\n`);
    const temporary = openSync(join(path, 'tmp'), 'r');
    const before = readdirSync(join(path, 'tmp'));
    try {
      const refs = new Map([[byteString('os'), CHECKSUM]]);
      expect(() => writeRefs(Repo.open(byteString(path)), refs, { temporary, sync: false })).toThrow(
        'Conflict: main exists under os when attempting write',
      );
    } finally {
      closeSync(temporary);
    }
    expect(readdirSync(join(path, 'tmp'))).toEqual(before);
  });
});

requires({ root: true, programs: ['setpriv'] }).describe('a repository of another user', () => {
  it('is written to by its group, and the time of its folder shows it', () => {
    const path = join(scratch, 'shared');
    initRepository(byteString(path), { mode: 'archive' });
    const tree = join(scratch, 'tree');
    mkdirSync(tree);
    chmodSync(scratch, 0o755);
    for (const command of [
      ['chgrp', '-R', '4321', path],
      ['chmod', '-R', 'g+w', path],
    ])
      expectSuccess(run(command), command);
    utimesSync(path, 1, 1);
    const command = [
      ...['setpriv', '--reuid=1234', '--regid=4321', '--clear-groups'],
      ...[process.execPath, link(), 'commit', `--repo=${path}`, '--branch=os', '--owner-uid=0', tree],
    ];
    expectSuccess(run(command), command);
    // futimens(NULL), as ostree has it: the owner alone could set another time than now.
    expect(statSync(path).mtimeMs).toBeGreaterThan(1_000_000);
  });
});
