/** Every verb and option of the real tools is either built or refused by name: docs/compatibility.md. */
import { describe, expect, it } from 'vitest';
import { allVerbs } from '../../src/cli/help.ts';
import { optionsOf } from '../../src/cli/real-tool-options.ts';
import { isRefusedOption, isRefusedVerb, REFUSED_OPTIONS, REFUSED_VERBS } from '../../src/cli/refused.ts';
import type { Tool, Verb } from '../../src/cli/verb.ts';
import { ourOption, type RealOption, readRealHelp } from './real-options.ts';

const REAL = readRealHelp(
  'ostree.tsv',
  'ostree-admin.tsv',
  'composefs.tsv',
  'fsverity.tsv',
  'veritysetup.tsv',
);
const UNLISTED = readRealHelp('ostree-unlisted.tsv');
const VERBS = new Map(
  (await allVerbs())
    .filter(([, { verb }]) => verb.tool !== 'sealtree')
    .map(([name, { verb }]) => [
      verb.tool === 'ostree' ? `ostree ${name}` : name.replace(/^verity /, 'veritysetup '),
      verb,
    ]),
);

/** Those of the tool's verb, with the ones its help does not list. */
function realOptions(called: string): readonly RealOption[] {
  return [...(REAL.get(called) ?? []), ...(UNLISTED.get(called) ?? [])];
}

describe('every verb of the real tools', () => {
  it.each([...REAL.keys()].filter((called) => / /.test(called) && !/^(composefs-info|mount)/.test(called)))(
    '%s is built or refused, not both',
    (called) => {
      const [tool = '', ...words] = called.split(' ');
      const name = words.join(' ');
      expect([VERBS.has(called), isRefusedVerb(tool, name)].filter(Boolean)).toHaveLength(1);
    },
  );

  it('that is refused exists', () => {
    for (const [tool, verbs] of Object.entries(REFUSED_VERBS)) {
      for (const name of Object.keys(verbs)) {
        expect([...REAL.keys(), ...UNLISTED.keys()]).toContain(`${tool} ${name}`);
      }
    }
  });
});

describe.each([...VERBS].filter(([called, { tool }]) => REAL.has(called) && tool !== 'veritysetup'))(
  '%s',
  (called, verb: Verb) => {
    const ours = (program: Tool) => optionsOf(verb, program).map(({ flags }) => ourOption(flags));

    it('has every option of the real one, or refuses it by name', () => {
      const missing = realOptions(called).filter(({ short, long }) => {
        if (long === 'help') return false;
        const built = ours(verb.tool).some((option) =>
          long ? option.long === long : option.short === short,
        );
        return built === isRefusedOption(called, long ? `--${long}` : `-${short}`);
      });
      expect(missing).toEqual([]);
    });

    it('spells short names and values as the real one does', () => {
      for (const real of realOptions(called)) {
        const option = ours(verb.tool).find(({ long }) => long === real.long);
        if (option === undefined || real.long === undefined) continue;
        expect(option).toMatchObject({ short: real.short });
        if (real.showsValue) expect(option).not.toMatchObject({ takes: 'nothing' });
      }
    });

    it('has no option of its own when it is called as the real one', () => {
      const known = realOptions(called).map(({ short, long }) => long ?? short);
      const own = ours(verb.tool).filter(
        ({ short, long }) => !known.includes(long) && !known.includes(short),
      );
      expect(own).toEqual([]);
    });
  },
);

it('has the options of veritysetup, which all its actions take, for one action at least', () => {
  const known = (REAL.get('veritysetup') ?? []).map(({ short, long }) => ({ short, long }));
  const actions = [...VERBS.values()].filter(({ tool }) => tool === 'veritysetup');
  const ours = actions.flatMap(({ options }) => options.map(({ flags }) => ourOption(flags)));
  for (const option of known) expect(ours).toContainEqual(expect.objectContaining(option));
  for (const { short, long } of ours) expect(known).toContainEqual({ short, long });
});

it('refuses only options that the real tools have', () => {
  for (const [called, options] of Object.entries(REFUSED_OPTIONS)) {
    const known = realOptions(called).flatMap(({ short, long }) => [`--${long}`, `-${short}`]);
    for (const names of Object.keys(options)) {
      for (const name of names.split(', ')) expect(known).toContain(name.replace(/=.*/, ''));
    }
  }
});
