/** Settings of the JavaScript engine. @module */
import { setFlagsFromString } from 'node:v8';

/**
 * By V8's major version, what makes it run a function about nine times as long as by default before it optimizes it.
 * Only versions that were measured: V8 complains of flags that it does not know.
 */
const OPTIMIZE_LATER: Readonly<Record<string, string>> = {
  11: '--interrupt-budget=600000',
  12: '--invocation-count-for-turbofan=27000',
};

/**
 * Has V8 optimize later. Most runs take less than half a second, in which its compiler threads would take nearly
 * as much processor time as the work itself; longer runs lose nothing that can be measured.
 */
export function tuneEngine(): void {
  const flag = OPTIMIZE_LATER[process.versions.v8.split('.', 1)[0] as string];
  if (flag !== undefined) setFlagsFromString(flag);
}
