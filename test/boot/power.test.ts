/**
 * Power loss: the virtual disk records the writes and flushes of two deploys by a running system; then the power goes
 * at random places, and any part of what was not flushed is lost. Whatever the boot menu leads to then is whole.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../requires.ts';
import { removeDirectory, scratchDirectory } from '../trees.ts';
import type { BootKind } from './boot-menu.ts';
import { diskAfter, type JudgedCut, judgeCuts, phase } from './power-cuts.ts';
import { bootDisk, makePowerSystem, type PowerSystem, type Recording, record } from './power-system.ts';
import { randomFrom } from './write-log.ts';

const CUTS = 200;
const CONTROLS = 20;
/** Of what is cut, and what survives; the recording is another each time. */
const seed = Number(process.env.SEALTREE_POWER_SEED ?? Date.now() % 2 ** 32);

const KINDS: readonly { readonly kind: BootKind; readonly name: string }[] = [
  { kind: 'ext4', name: '/boot on ext4' },
  { kind: 'esp', name: '/boot on FAT' },
];

/**
 * Which versions may be the default. On FAT the version that is running is, for a moment: the entries of one that was
 * deployed and not booted make room before new ones are written.
 */
const ALLOWED: Readonly<Record<BootKind, Readonly<Record<string, readonly number[]>>>> = {
  ext4: { 'deploy 2': [1, 2], 'deploy 3': [2, 3] },
  esp: { 'deploy 2': [1, 2], 'deploy 3': [1, 2, 3] },
};

const needs = requires({ root: true, boot: true });

needs.describe('the power goes while a system deploys,', () => {
  let folder = '';
  let system: PowerSystem;
  beforeAll(() => {
    folder = scratchDirectory('power');
    system = makePowerSystem(folder);
  });
  afterAll(() => removeDirectory(folder));

  describe.each(KINDS)('$name', ({ kind }) => {
    let recording: Recording;
    let cuts: readonly JudgedCut[] = [];
    const random = randomFrom(seed);
    beforeAll(async () => {
      recording = await record(system, kind);
    });

    /** Versions that the menu leads to, the default first. */
    const menuOf = ({ commits }: JudgedCut) => commits.map((commit) => system.commits.indexOf(commit) + 1);
    const faultsOf = (judged: readonly JudgedCut[]) =>
      judged.flatMap(({ entries, faults, during }) =>
        faults.map((fault) => `${during}, at ${entries}: ${fault}`),
      );

    it(`${CUTS} cuts leave the old or the new system`, { timeout: 1_800_000 }, ({ task }) => {
      const start = performance.now();
      const during = ['deploy 2', 'deploy 3'];
      cuts = judgeCuts(recording, kind, { during, count: CUTS, random });
      const log = during.flatMap((name) => {
        const { begin, end } = phase(recording.log, name);
        return recording.log.slice(begin, end);
      });
      const flushes = log.filter((entry) => entry === 'flush').length;
      const booted = [1, 2, 3].map((version) => cuts.filter((cut) => menuOf(cut)[0] === version).length);
      const unrepaired = cuts.filter(({ unrepaired }) => unrepaired.length > 0);
      const figures = `${log.length - flushes} writes, ${flushes} flushes; versions 1, 2, 3 boot ${booted.join(', ')} times, ${unrepaired.length} only once repaired; seed ${seed}`;
      const seconds = (performance.now() - start) / 1000;
      task.meta.boot = { expected: 'old or new, whole', seen: figures, seconds };
      expect(faultsOf(cuts), figures).toEqual([]);
      for (const cut of cuts) {
        expect(ALLOWED[kind][cut.during], figures).toContain(menuOf(cut)[0]);
        // The one that is running stays.
        expect(menuOf(cut)).toContain(1);
      }
      for (const count of booted) expect(count, figures).toBeGreaterThan(0);
    });

    it('three of them boot, and the first deploys to the end', async ({ task }) => {
      const boots = (version: number) =>
        cuts.filter((cut) => menuOf(cut)[0] === version && cut.unrepaired.length === 0);
      const seen: string[] = [];
      let seconds = 0;
      for (const cut of [boots(1)[0], boots(2).at(-1), boots(3).at(-1)]) {
        if (cut === undefined) throw new Error('no such cut');
        // The first goes on to deploy.
        const others = seen.length === 0 ? system.tools : [];
        const stopped = await bootDisk(diskAfter(recording, cut), kind, { others });
        const shown = stopped.console.replaceAll('\r', '');
        seconds += stopped.seconds;
        const version = /^BOOTED version (\d):.*verity=require/m.exec(shown)?.[1];
        expect(version, shown.slice(-4000)).toBe(String(menuOf(cut)[0]));
        expect(shown).toMatch(seen.length === 0 ? /^RECORDED$/m : /^END$/m);
        seen.push(`version ${version}`);
      }
      task.meta.boot = { expected: 'old and new boot', seen: seen.join(', '), seconds };
    });

    it('the same is found wanting after an update without syncs, and on a disk that lies about flushes', ({
      task,
    }) => {
      const start = performance.now();
      const naive = judgeCuts(recording, kind, { during: ['careless update'], count: CONTROLS, random });
      const lies = judgeCuts(recording, kind, { during: ['deploy 3'], count: CONTROLS, random, lies: true });
      const [a, b] = [naive, lies].map((judged) => judged.filter(({ faults }) => faults.length > 0).length);
      const seen = `${a} and ${b} of ${CONTROLS} broken`;
      task.meta.boot = { expected: 'broken systems', seen, seconds: (performance.now() - start) / 1000 };
      expect(a, seen).toBeGreaterThan(0);
      expect(b, seen).toBeGreaterThan(0);
    });
  });
});
