/** Where time goes, for `--profiler`: a file that Chrome's developer tools open. @module */
import { type ByteString, utf8ByteString } from '../core/bytes/byte-string.ts';
import { writeFileAtomically } from '../node/atomic-file.ts';

/**
 * Begins to measure.
 *
 * @param path of the profile (`.cpuprofile`); undefined for none
 * @returns ends it and writes the file
 * @throws SealtreeError `io`
 */
export async function startProfile(path: ByteString | undefined): Promise<() => Promise<void>> {
  if (path === undefined) return async () => {};
  const { Session } = await import('node:inspector/promises');
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.start');
  return async () => {
    const { profile } = await session.post('Profiler.stop');
    session.disconnect();
    writeFileAtomically(path, utf8ByteString(JSON.stringify(profile)));
  };
}
