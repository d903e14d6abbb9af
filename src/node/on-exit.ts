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
let listening = false;

/**
 * Registers a synchronous clean-up, the last one registered runs first. An error of one does not keep the others from running.
 *
 * @returns unregisters it, without running it
 */
export function onExit(cleanUp: CleanUp): () => void {
  if (!listening) {
    for (const signal of SIGNALS) process.on(signal, dieBy);
    process.on('exit', runCleanUps);
    listening = true;
  }
  cleanUps.add(cleanUp);
  return () => {
    // Not at once: a signal that came meanwhile waits for the event loop and would be lost with its listener.
    if (cleanUps.delete(cleanUp) && cleanUps.size === 0) setImmediate(stopWhenIdle).unref();
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

function stopWhenIdle(): void {
  if (cleanUps.size === 0) stopListening();
}

function stopListening(): void {
  listening = false;
  for (const signal of SIGNALS) process.off(signal, dieBy);
  process.off('exit', runCleanUps);
}
