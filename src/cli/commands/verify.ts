/** `sealtree verify`: the boot decision for a commit, a deployment or an image, and every object behind it. @module */
import { realpathSync, statSync } from 'node:fs';
import { type ByteString, byteString, displayByteString } from '../../core/bytes/byte-string.ts';
import { isChecksum } from '../../core/bytes/hex.ts';
import { loadSealed } from '../../core/conf/sealed.ts';
import { EXIT_STATUS, SealtreeError } from '../../core/errors.ts';
import type { PublicKey } from '../../core/sign/keys.ts';
import { type BootPolicy, loadBootPolicy } from '../../core/verify/boot-policy.ts';
import { explainVerification, verificationJson } from '../../core/verify/explain.ts';
import { makeJudge } from '../../core/verify/fault.ts';
import { isValid, type Verification } from '../../core/verify/report.ts';
import { fsPath } from '../../node/fs-path.ts';
import { ioError } from '../../node/io-error.ts';
import { nodeSystem } from '../../node/system.ts';
import { type VerifyOptions, verifyBoot, verifyCommit, verifyImage } from '../../repo/verify-target.ts';
import { givenConfig, givenKeys, POLICY_OPTIONS } from '../given-policy.ts';
import { startProgress } from '../progress.ts';
import { absolutePath, openRepository } from '../repository.ts';
import { usageError } from '../usage.ts';
import type { Context, OptionValues, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'sealtree',
  path: ['verify'],
  summary: 'decide whether a commit, deployment or image may be mounted',
  operands: 'REV|DEPLOYMENT|SYSROOT|IMAGE',
  options: [
    { flags: '--repo <path>', description: 'repository (of a deployment: its own by default)' },
    ...POLICY_OPTIONS,
    {
      flags: '--cmdline <arguments>',
      description: 'kernel arguments to take into account: ostree= names the deployment of a SYSROOT',
    },
    { flags: '--boot', description: 'make only the checks that a boot makes, read no objects' },
    { flags: '--digest <hex>', description: 'fs-verity digest that an image must have' },
    {
      flags: '--basedir <directory>',
      description: "directory with an image's backing files; may be given more than once",
    },
    { flags: '--json', description: 'print the findings as JSON' },
    { flags: '-q, --quiet', description: 'print nothing if the answer is yes' },
  ],
  examples: [
    'sealtree verify --repo=repo --keys-file=build.public main',
    'sealtree verify --keys-file=build.public --json /sysroot/ostree/deploy/os/deploy/COMMIT.0',
    'sealtree verify --config=initramfs-root --cmdline="ostree=/ostree/boot.1/os/BOOTCSUM/0" /sysroot',
    'sealtree verify --digest=DIGEST --basedir=objects image.cfs',
  ],
  description: [
    'A commit is named by a rev, a deployment or an image by a path (which has a / in it, unless there is no such ref). A directory with ostree/repo in it is a whole disk: the kernel arguments of --cmdline say which of its deployments is booted. Of a commit is checked, in this order: the signature over it by one of the keys; that it has the checksum of its name; that it names one composefs image; that every object behind it is what its name says, by reading it; that the tree gives the image that it names. Of a deployment first everything that a boot decides, by the same code and with the same rules (docs/boot.md): configuration, sealed file, kernel arguments, keys, place, commit and image; then that the image, read here, has the digest that the commit names, the objects and the tree. Where images differ it is said in which path and field. Of an image on its own: that it has the digest that was given, and that every backing file has the digest that the image names.',
    'For every damaged object all paths are printed that use it, and the key or digest that vouches for it. Of a deployment follows what the boot would say of itself, with every path by which unsigned state can run code, or its refusal. At the end stands the mount plan: what a boot, or `sealtree mount`, would do now.',
    'Keys come from --key, --keys-file and --keys-dir, else from the composefs.keypath of --config, else from /etc/ostree and /usr/share/ostree. A signature is demanded unless the configuration says that it is not, and no key was given.',
    'The exit status is 0 for yes and 3 for no; others mean that there was no decision.',
  ],
  run,
};

async function run(context: Context): Promise<number> {
  const { args, options, stdout, stderr } = context;
  const [name] = args;
  if (name === undefined || args.length > 1) throw usageError('verify needs a REV, a DEPLOYMENT or an IMAGE');
  const progress = startProgress(stderr, 'verifying', options.has('json') || options.has('quiet'));
  let done = 0;
  const common = {
    system: nodeSystem,
    bootOnly: options.has('boot'),
    onProgress: (count: number) => {
      progress.add(count - done, 0);
      done = count;
    },
  };
  let verification: Verification;
  try {
    verification = await verify(context, name, common);
  } finally {
    progress.end();
  }
  if (options.has('quiet') && isValid(verification)) return 0;
  if (options.has('json')) stdout.line(JSON.stringify(verificationJson(verification), undefined, 2));
  else for (const line of explainVerification(verification)) stdout.line(line);
  return isValid(verification) ? 0 : EXIT_STATUS.mismatch;
}

async function verify(
  context: Context,
  name: ByteString,
  common: Omit<VerifyOptions, 'policy'>,
): Promise<Verification> {
  const { options } = context;
  const kind = kindOf(name, options);
  if (kind === 'image') {
    const digest = options.value('digest');
    if (digest === undefined)
      throw usageError(`${displayByteString(name)} is an image: --digest says which digest it must have`);
    if (!isChecksum(digest.toLowerCase())) throw usageError('--digest: not 64 hexadecimal digits');
    const directories = options.values('basedir').map((path) => absolutePath(path));
    return verifyImage(absolutePath(name), digest.toLowerCase(), directories, common);
  }
  const cmdline = options.value('cmdline') ?? byteString('');
  const keys = givenKeys(options);
  if (kind === 'rev') {
    const repo = openRepository(context);
    const policy = policyOf(context, cmdline, keys);
    return verifyCommit(repo, name, repo.resolveRev(name), { ...common, policy });
  }
  const repo = options.has('repo') ? openRepository(context) : undefined;
  const path = byteString(realpathSync(fsPath(name), 'latin1'));
  const { config, root } = givenConfig(options);
  const facts = { cmdline, root, given: { config, keys } };
  return kind === 'sysroot'
    ? verifyBoot({ ...facts, sysroot: path }, { ...common, repo })
    : verifyBoot({ ...facts, sysroot: sysrootOf(path), deployment: path }, { ...common, repo });
}

/** The disk that a deployment is on. */
function sysrootOf(deployment: ByteString): ByteString {
  const match = /^(.*)\/ostree\/deploy\/[^/]+\/deploy\/[0-9a-f]{64}[.][^/]+$/.exec(deployment);
  if (match !== null) return byteString(match[1] || '/');
  throw new SealtreeError(
    'malformed',
    `${displayByteString(deployment)}: not a deployment, expected SYSROOT/ostree/deploy/STATEROOT/deploy/CHECKSUM.SERIAL`,
  );
}

/** A rev never begins with a dot or slash; anything else that is there is a path unless a repository was named. */
function kindOf(name: ByteString, options: OptionValues): 'rev' | 'deployment' | 'sysroot' | 'image' {
  if (options.has('digest') || options.has('basedir')) return 'image';
  const isPath = /^[./]/.test(name);
  if (!isPath && options.has('repo')) return 'rev';
  try {
    const stat = statSync(fsPath(name), { throwIfNoEntry: false });
    if (stat?.isDirectory() && name.includes('/')) {
      const repo = statSync(fsPath(byteString(`${name}/ostree/repo`)), { throwIfNoEntry: false });
      return repo === undefined ? 'deployment' : 'sysroot';
    }
    if (stat?.isFile() && (isPath || name.includes('.'))) return 'image';
  } catch (error) {
    if (isPath) throw ioError(displayByteString(name), error);
  }
  if (isPath) throw new SealtreeError('missing', `${displayByteString(name)}: No such file or directory`);
  return 'rev';
}

/** What a boot would demand of a commit. */
function policyOf(
  { options, stderr }: Context,
  cmdline: ByteString,
  keys: readonly PublicKey[] | undefined,
): BootPolicy {
  const { config, root } = givenConfig(options);
  const judge = makeJudge();
  const sealed = config === undefined ? loadSealed(nodeSystem, root) : undefined;
  const sources = { config: root, keys: root, cmdline, given: { config, keys } };
  const policy = loadBootPolicy(nodeSystem, sources, sealed, judge);
  for (const warning of judge.warnings) stderr.line(`sealtree: ${warning}`);
  return policy;
}
