/**
 * SELinux policies: ostree computes the labels of /etc and /var by the policy of the tree, sealtree does not. A system
 * that enforces one would not boot with the labels of /usr/etc, so it is refused.
 * @module
 */
import { type ByteString, byteString, byteStringFrom, displayByteString } from '../core/bytes/byte-string.ts';
import { SealtreeError } from '../core/errors.ts';
import { readFileLimited } from '../node/read-file.ts';
import { resolveInside } from './inside.ts';

const LIMIT = 1024 * 1024;

/** @throws SealtreeError `unsupported` if the tree has a policy and does not turn it off */
export function requireNoSelinuxPolicy(root: ByteString): void {
  const etc = ['etc/selinux', 'usr/etc/selinux'].find(
    (path) => resolveInside(root, byteString(path)) !== undefined,
  );
  const path = etc && resolveInside(root, byteString(`${etc}/config`));
  const data = path && readFileLimited(path, `${etc}/config`, LIMIT);
  if (data === undefined || data === '') return;
  const text = byteStringFrom(data);
  const mode = /^SELINUX=(enforcing|permissive)/im.exec(text)?.[1];
  if (mode === undefined) return;
  const policy = displayByteString(byteString(/^SELINUXTYPE=[ \t]*(\S*)/m.exec(text)?.[1] ?? ''));
  throw new SealtreeError(
    'unsupported',
    `the tree has the SELinux policy '${policy}' (${mode}), and labels of /etc and /var are not computed`,
  );
}
