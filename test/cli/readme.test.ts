/** The five minutes of README.md, run as written. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { requires } from '../requires.ts';
import { run } from '../run.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

requires({ root: true, mount: ['overlay', 'erofs'] }).it(
  'the five minutes of the README are as they say',
  () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    const block = /```sh\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
    const folder = mkdtempSync(join(tmpdir(), 'sealtree-readme-'));
    try {
      const script = block.replaceAll('/var/tmp/sealtree-example', `${folder}/example`);
      // As a terminal does, which knows aliases.
      const command = ['unshare', '--mount', 'bash', '-O', 'expand_aliases', '-uc', script];
      const { stdout, stderr, status } = run(command, { cwd: ROOT, env: { SHLVL: '1' } });
      expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
      expect(stdout).toMatch(/^valid$/m);
      expect(stdout).toMatch(/^hello$/m);
      expect(stdout).toMatch(/^refused: .*\nstatus 3$/m);
      expect(stdout).toMatch(/^ +\/usr\/bin\/hello$/m);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);
