/** The worker of boot.test.ts. @module */

import type { BootSeeds } from './boot-cases.ts';
import { bootTargets } from './boot-target.ts';
import { runTargets } from './fuzz-run.ts';

await runTargets<BootSeeds>(bootTargets);
