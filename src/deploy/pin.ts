/** Pinning: a deployment that stays when later ones come. It stands in the `.origin` file. @module */
import { type ByteString, byteString, bytesOf } from '../core/bytes/byte-string.ts';
import { setKey, unsetKey } from '../core/conf/keyfile.ts';
import { type Deployment, originPath } from './deployment.ts';
import { syncDirectory, writeFile } from './files.ts';
import { inSysroot, requireNothingStaged, type Sysroot } from './sysroot.ts';
import { touchDeployments } from './touch.ts';

const GROUP = byteString('libostree-transient');
const KEY = byteString('pinned');

/** Pins or unpins a deployment. */
export function setPinned(sysroot: Sysroot, deployment: Deployment, pinned: boolean): void {
  requireNothingStaged(sysroot);
  const path = inSysroot(sysroot, originPath(deployment));
  const text = deployment.origin ?? byteString('');
  writeFile(path, bytesOf(changed(text, pinned, originPath(deployment))));
  syncDirectory(byteString(path.slice(0, path.lastIndexOf('/'))));
  touchDeployments(sysroot.path);
}

function changed(text: ByteString, pinned: boolean, what: string): ByteString {
  if (pinned) return setKey(text, GROUP, KEY, byteString('true'), what);
  return unsetKey(text, GROUP, KEY, what) ?? text;
}
