/**
 * Clean-ups that run however the program ends: normally, by an error, by SIGINT, SIGTERM or SIGHUP.
 *
 * The signals keep their default action while nothing is registered, so that a program without temporary files
 * dies at once and its caller sees by which signal.
 * @module
 */

type CleanUp = () => void;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const cleanUps = new Set<CleanUp>();

/**
 * Registers a synchronous clean-up, the last one registered runs first. An error of one does not keep the others from running.
 *
 * @returns unregisters it, without running it
 */
export function onExit(cleanUp: CleanUp): () => void {
  if (cleanUps.size === 0) {
    for (const signal of SIGNALS) process.on(signal, dieBy);
    process.on('exit', runCleanUps);
  }
  cleanUps.add(cleanUp);
  return () => {
    cleanUps.delete(cleanUp);
    if (cleanUps.size === 0) stopListening();
  };
}

/** Runs what is registered, once, and forgets it. */
export function runCleanUps(): void {
  for (const cleanUp of [...cleanUps].reverse()) {
    cleanUps.delete(cleanUp);
    try {
      cleanUp();
    } catch {
      // The program is ending for another reason, which is the one to report.
    }
  }
  stopListening();
}

/** Cleans up and lets the signal do what it does by default: the caller sees status 130 for SIGINT, 143 for SIGTERM. */
function dieBy(signal: NodeJS.Signals): void {
  runCleanUps();
  process.kill(process.pid, signal);
}

function stopListening(): void {
  for (const signal of SIGNALS) process.off(signal, dieBy);
  process.off('exit', runCleanUps);
}
