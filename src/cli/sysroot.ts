/** The sysroot that a verb of `ostree admin` works on, and its manners. @module */
import { type ByteString, byteString, displayByteString, utf8ByteString } from '../core/bytes/byte-string.ts';
import { malformed, SealtreeError } from '../core/errors.ts';
import { withSysroot } from '../deploy/deploy.ts';
import { type Deployment, deploymentPath } from '../deploy/deployment.ts';
import { inSysroot, loadSysroot, type Sysroot } from '../deploy/sysroot.ts';
import { joinPath } from '../node/fs-path.ts';
import { absolutePath } from './repository.ts';
import type { Context } from './verb.ts';

/** `--sysroot`, `OSTREE_SYSROOT`, or the root directory; absolute. */
export function sysrootPath({ options }: Pick<Context, 'options'>): ByteString {
  const { OSTREE_SYSROOT: fallback = '' } = process.env;
  return absolutePath(options.value('sysroot') ?? utf8ByteString(fallback === '' ? '/' : fallback));
}

/** Prints a message that comes in the middle of the work. */
export function reporter({ stdout }: Pick<Context, 'stdout'>): (message: string) => void {
  return (message) => {
    stdout.line(message);
    stdout.flush();
  };
}

/** Runs `change` on the sysroot, locked; with `--print-current-dir` prints where the default deployment is instead. */
export async function changingSysroot(
  context: Context,
  change: (sysroot: Sysroot) => Promise<void> | void,
): Promise<void> {
  await withSysroot(sysrootPath(context), { report: reporter(context) }, async (sysroot) => {
    requireUsable(context, sysroot);
    if (sysroot.booted !== undefined && process.geteuid?.() !== 0)
      throw new SealtreeError('io', 'You must be root to perform this command');
    if (!printedCurrent(context, sysroot)) await change(sysroot);
  });
}

/** Runs `read` on the sysroot as it is. */
export function readingSysroot(context: Context, read: (sysroot: Sysroot) => void): void {
  const sysroot = loadSysroot(sysrootPath(context));
  requireUsable(context, sysroot);
  if (!printedCurrent(context, sysroot)) read(sysroot);
}

/** Called as ostree, only what ostree can work on. */
function requireUsable({ program }: Context, { layout }: Sysroot): void {
  if (program === 'ostree' && layout === 'files')
    throw malformed('loading sysroot: /boot cannot currently be a vfat filesystem');
}

/** @returns whether that was all */
function printedCurrent({ options, stdout }: Context, sysroot: Sysroot): boolean {
  if (!options.has('print-current-dir')) return false;
  const [first] = sysroot.deployments;
  if (first === undefined) throw new SealtreeError('missing', 'Unable to find a deployment in sysroot');
  stdout.write(byteString(`${inSysroot(sysroot, deploymentPath(first))}\n`));
  return true;
}

/**
 * The deployment at a place in the list.
 *
 * @throws SealtreeError `missing` in ostree's words
 */
export function deploymentAt({ deployments }: Sysroot, index: number): Deployment {
  if (index < 0) throw new SealtreeError('missing', `Invalid index ${index}`);
  const found = deployments[index];
  if (found !== undefined) return found;
  const message = `Out of range deployment index ${index}, expected < ${deployments.length}`;
  throw new SealtreeError('missing', message);
}

/** An index as C's strtoull reads it, which the whole word has to be; an empty one is 0. */
export function parseIndex(text: ByteString): number {
  const match = /^[ \t\n\v\f\r]*[+]?([0-9]*)$/.exec(text);
  const digits = match?.[1] ?? '';
  const blank = digits === '' && text !== '';
  if (match === null || blank)
    throw new SealtreeError('usage', `Invalid index: ${displayByteString(text)}`, { help: 'no' });
  return Number(digits);
}

/** The path of a file that a user names. */
export function fileInCurrentDirectory(path: ByteString): ByteString {
  return path.startsWith('/') ? path : joinPath(absolutePath(byteString('.')), path);
}
