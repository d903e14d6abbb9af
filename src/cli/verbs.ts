/** Every verb of sealtree and where it lives; a module is loaded when its verb is called. @module */
import type { Verb } from './verb.ts';

type Load = () => Promise<{ readonly verb: Verb }>;

/**
 * By the words after `sealtree`. A verb of ostree stands here under its own name (`commit`), one of fsverity
 * behind the tool's name (`fsverity digest`), a tool without verbs under its name (`mkcomposefs`).
 */
export const VERBS: Readonly<Record<string, Load>> = {
  admin: () => import('./commands/admin.ts'),
  'admin cleanup': () => import('./commands/admin-cleanup.ts'),
  'admin deploy': () => import('./commands/admin-deploy.ts'),
  'admin init-fs': () => import('./commands/admin-init-fs.ts'),
  'admin kargs': () => import('./commands/admin-kargs.ts'),
  'admin kargs edit-in-place': () => import('./commands/admin-kargs-edit-in-place.ts'),
  'admin os-init': () => import('./commands/admin-os-init.ts'),
  'admin pin': () => import('./commands/admin-pin.ts'),
  'admin set-default': () => import('./commands/admin-set-default.ts'),
  'admin stateroot-init': () => import('./commands/admin-stateroot-init.ts'),
  'admin status': () => import('./commands/admin-status.ts'),
  'admin undeploy': () => import('./commands/admin-undeploy.ts'),
  cat: () => import('./commands/cat.ts'),
  checkout: () => import('./commands/checkout.ts'),
  commit: () => import('./commands/commit.ts'),
  completion: () => import('./commands/completion.ts'),
  'composefs-info': () => import('./commands/composefs-info.ts'),
  config: () => import('./commands/config.ts'),
  diff: () => import('./commands/diff.ts'),
  fsck: () => import('./commands/fsck.ts'),
  'fsverity digest': () => import('./commands/fsverity-digest.ts'),
  'fsverity enable': () => import('./commands/fsverity-enable.ts'),
  'fsverity measure': () => import('./commands/fsverity-measure.ts'),
  help: () => import('./commands/help.ts'),
  image: () => import('./commands/image.ts'),
  'image verify': () => import('./commands/image-verify.ts'),
  init: () => import('./commands/init.ts'),
  'initramfs build': () => import('./commands/initramfs-build.ts'),
  'initramfs inspect': () => import('./commands/initramfs-inspect.ts'),
  'initramfs install': () => import('./commands/initramfs-install.ts'),
  'keys generate': () => import('./commands/keys-generate.ts'),
  'keys show': () => import('./commands/keys-show.ts'),
  'keys transient': () => import('./commands/keys-transient.ts'),
  'keys verify': () => import('./commands/keys-verify.ts'),
  log: () => import('./commands/log.ts'),
  ls: () => import('./commands/ls.ts'),
  mkcomposefs: () => import('./commands/mkcomposefs.ts'),
  'mount.composefs': () => import('./commands/mount.ts'),
  mount: () => import('./commands/mount.ts'),
  'pull-local': () => import('./commands/pull-local.ts'),
  refs: () => import('./commands/refs.ts'),
  'rev-parse': () => import('./commands/rev-parse.ts'),
  seal: () => import('./commands/seal.ts'),
  show: () => import('./commands/show.ts'),
  sign: () => import('./commands/sign.ts'),
  umount: () => import('./commands/umount.ts'),
  verify: () => import('./commands/verify.ts'),
};
