/** The worker of mount.test.ts. @module */
import { sys } from './fake-kernel.ts';
import { runTargets } from './fuzz-run.ts';

// Where an error was made is of no use here, and most of the time goes into writing it down.
Error.stackTraceLimit = 0;
// The program finds its calls when it is loaded.
Object.assign(globalThis, { sys, words: [] });
const { mountTargets } = await import('./mount-target.ts');
await runTargets(mountTargets);
