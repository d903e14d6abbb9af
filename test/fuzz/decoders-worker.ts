/** The worker of decoders.test.ts. @module */
import { runTargets } from './fuzz-run.ts';
import { folderTargets } from './repository-target.ts';
import { sealedTargets } from './sealed-targets.ts';
import { fuzzTargets, type Seeds } from './targets.ts';

let remove = () => {};
try {
  await runTargets<Seeds>((seeds) => {
    const folder = folderTargets(seeds);
    remove = folder.remove;
    return [...fuzzTargets(seeds), ...sealedTargets(seeds), ...folder.targets];
  });
} finally {
  remove();
}
