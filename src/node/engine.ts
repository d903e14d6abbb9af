/**
 * When V8 optimizes functions. Most runs take less than half a second, in which its compiler threads would take nearly as
 * much processor time as the work itself; in longer runs it makes no difference that can be measured.
 *
 * The setting is that of the process, and it has a price: compiled code that Node brings along is good for V8's usual
 * flags only. A new thread therefore begins with those.
 * @module
 */
import { setFlagsFromString } from 'node:v8';

/**
 * By V8's major version, the flag that says how long a function runs before it is optimized, about nine times as long as
 * usual, and as usual. Only versions that were measured: V8 complains of flags that it does not know.
 */
const FLAGS: Readonly<Record<string, readonly [flag: string, later: number, usual: number]>> = {
  11: ['interrupt-budget', 600_000, 67_584],
  12: ['invocation-count-for-turbofan', 27_000, 3000],
};

/** Has V8 optimize later. What already runs keeps the time that it has. */
export function optimizeLater(): void {
  setFlag('later');
}

/** Undoes `optimizeLater`, for what begins to run from now on. */
export function optimizeAsUsual(): void {
  setFlag('usual');
}

function setFlag(when: 'later' | 'usual'): void {
  const known = FLAGS[process.versions.v8.split('.', 1)[0] as string];
  if (known === undefined) return;
  const [flag, later, usual] = known;
  setFlagsFromString(`--${flag}=${when === 'later' ? later : usual}`);
}
