/** The worker of tar.test.ts. @module */
import { runTargets } from './fuzz-run.ts';
import { type TarSeeds, tarTargets } from './tar-target.ts';
import type { Target } from './targets.ts';

await runTargets<TarSeeds>((seeds) => tarTargets(seeds) as Target[]);
