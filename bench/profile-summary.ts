/** Sums up V8 profiles (the Profile type of the Chrome DevTools protocol) by thread, module and function. @module */

export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      /** From 0; -1 where there is none. */
      readonly lineNumber: number;
    };
  }[];
  /** Ids of nodes. */
  readonly samples?: readonly number[];
  /** Microseconds since the sample before. */
  readonly timeDeltas?: readonly number[];
}

/** For each line of a file, the module that it comes from. */
export type ModuleNames = readonly string[];

const SHOWN = 25;
/** Frames in which a thread waits. */
const IDLE = new Set(['(idle)', '(program)']);

/**
 * @param modulesOf what the lines of the file at an address come from; undefined for those that are not files
 * @returns three tables in text: milliseconds in the function itself, not in those it calls
 */
export function summarizeProfiles(
  profiles: readonly { readonly thread: number; readonly profile: CpuProfile }[],
  modulesOf: (url: string) => ModuleNames | undefined,
): string {
  const files = new Map<string, ModuleNames | undefined>();
  const [threads, modules, functions] = [
    new Map<string, number>(),
    new Map<string, number>(),
    new Map<string, number>(),
  ];
  for (const { thread, profile } of profiles) {
    const times = selfTimes(profile);
    for (const { id, callFrame } of profile.nodes) {
      const time = times.get(id) ?? 0;
      if (time === 0) continue;
      const { functionName, url, lineNumber } = callFrame;
      const name = functionName || '(anonymous)';
      add(threads, `thread ${thread}, ${IDLE.has(name) ? `outside JavaScript, ${name}` : 'at work'}`, time);
      if (IDLE.has(name)) continue;
      if (!files.has(url)) files.set(url, modulesOf(url));
      const module = files.get(url)?.[lineNumber] || url || '(V8)';
      add(modules, module, time);
      add(functions, `${name}  ${module}`, time);
    }
  }
  return [
    ...lines('milliseconds by thread', threads),
    ...lines('by module', modules),
    ...lines('by function', functions),
  ].join('\n');
}

/** Microseconds by node. */
function selfTimes({ samples = [], timeDeltas = [] }: CpuProfile): Map<number, number> {
  const times = new Map<number, number>();
  for (const [i, id] of samples.entries()) add(times, id, timeDeltas[i] ?? 0);
  return times;
}

function lines(title: string, times: ReadonlyMap<string, number>): string[] {
  const sorted = [...times].sort((a, b) => b[1] - a[1]).slice(0, SHOWN);
  return [title, ...sorted.map(([name, time]) => `${(time / 1000).toFixed(1).padStart(10)}  ${name}`), ''];
}

function add<K>(sums: Map<K, number>, key: K, value: number): void {
  sums.set(key, (sums.get(key) ?? 0) + value);
}
