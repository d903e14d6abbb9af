/**
 * What the kernel says of the file objects behind an image: overlayfs with `verity=require` opens none that has not
 * fs-verity on, with the digest that the image names. Where that cannot be told, where the deployment is booted will
 * tell.
 * @module
 */
import { hexOf } from '../core/bytes/hex.ts';
import { isRegular } from '../core/fs/mode.ts';
import type { ComposefsFile } from '../core/ostree/composefs-tree.ts';
import type { System, VerityEvidence } from '../core/system.ts';
import type { Check } from '../core/verify/report.ts';
import { kernelAnswer } from '../core/verify/verity-evidence.ts';
import type { ObjectFault } from './examine-tree.ts';
import type { Repo } from './repo.ts';

/**
 * Asks the kernel for the fs-verity digest of every file object that an image has content of.
 *
 * @param files what is known of the objects by their checksums
 */
export function checkKernelObjects(
  repo: Repo,
  files: ReadonlyMap<string, ComposefsFile | undefined>,
  system: System,
): { check: Check; faults: ObjectFault[] } {
  const name = 'objects in the kernel';
  const faults: ObjectFault[] = [];
  let asked = 0;
  let untold = 0;
  for (const [checksum, file] of files) {
    const expected = file?.verity;
    if (file === undefined || expected === undefined || !isRegular(file.header.mode)) continue;
    asked++;
    const answer = answerFor(repo, checksum, system);
    if (answer === undefined) {
      untold++;
      continue;
    }
    if (answer === 'off') {
      faults.push({ type: 'file', checksum, fault: 'fs-verity is off: it would not be read', expected });
      continue;
    }
    const found = hexOf(answer.digest);
    if (answer.algorithm === 'sha256' && found === expected) continue;
    const fault = `the kernel measures ${answer.algorithm} ${found}`;
    faults.push({ type: 'file', checksum, fault, expected, found });
  }
  if (faults.length > 0)
    return {
      check: { name, status: 'failed', message: `${faults.length} of ${asked} would not be read` },
      faults,
    };
  const message =
    untold > 0
      ? `it cannot be told here of ${untold} of ${asked} whether fs-verity is on; where they are mounted it has to be`
      : `the kernel measures of all ${asked} what the image names`;
  return { check: { name, status: untold > 0 ? 'skipped' : 'passed', message }, faults };
}

function answerFor(repo: Repo, checksum: string, system: System): VerityEvidence['digest'] {
  for (let next: Repo | undefined = repo; next !== undefined; next = next.parent) {
    // What an archive repository has is compressed: nothing that could be mounted.
    if (next.mode === 'archive') continue;
    const evidence = system.examineVerity(next.objectFile('file', checksum));
    if (evidence !== undefined) return kernelAnswer(evidence);
  }
  return undefined;
}
