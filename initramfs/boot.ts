/**
 * One boot, or soft reboot: the decision, carried out, and looked at; or the refusal, told to everyone who may see it.
 * @module
 */
import {
  type ByteString,
  byteString,
  byteStringFrom,
  bytesOf,
  utf8ByteString,
} from '../src/core/bytes/byte-string.ts';
import { SealtreeError } from '../src/core/errors.ts';
import { portableHash } from '../src/core/hash.ts';
import { decideBoot } from '../src/core/verify/boot.ts';
import type { BootDecision } from '../src/core/verify/boot-decision.ts';
import type { BootTarget } from '../src/core/verify/boot-target.ts';
import { bootLine, refusalLines } from '../src/core/verify/explain-boot.ts';
import { refusalOf } from '../src/core/verify/fault.ts';
import type { KernelFacts } from '../src/core/verify/kernel.ts';
import { probeKernel } from '../src/core/verify/probe-kernel.ts';
import type { CheckName } from '../src/core/verify/report.ts';
import { planSoftReboot } from '../src/core/verify/soft-reboot.ts';
import { mountPlan } from './mount-plan.ts';
import {
  BOOT_MESSAGE_ID,
  DEPLOYMENT_MESSAGE_ID,
  PRIORITY,
  REFUSAL_MESSAGE_ID,
  tell,
  tellJournal,
  WARNING_MESSAGE_ID,
} from './report.ts';
import {
  bootMountCalls,
  bootSystem,
  deviceNumber,
  fileSystemStatus,
  openForReading,
  statusIfThere,
  using,
  writeAll,
} from './system.ts';

const STDOUT = 1;
const STDERR = 2;

const RAMFS_MAGIC = 0x858458f6;
const TMPFS_MAGIC = 0x01021994;
const COMMAND_LINE = byteString('/proc/cmdline');
const COMMAND_LINE_LIMIT = 64 * 1024;
const ROOT = byteString('/');
const SYSROOT = byteString('/sysroot');

/** Why there is no boot, in lines, the first of which is the reason. */
export interface Refused {
  readonly lines: readonly string[];
  readonly onRefusal: BootDecision['onRefusal'];
}

/** What was decided; `refused` is undefined if the root file system is mounted as it should be. */
export interface Outcome {
  readonly decision: BootDecision;
  readonly refused: Refused | undefined;
}

/** @param sysroot where the disk is mounted, and then the deployment */
export function boot(sysroot: ByteString, cmdline: ByteString): Outcome {
  const kernel = probeKernel(bootSystem, bootMountCalls);
  const decision = decideBoot(bootSystem, portableHash, {
    cmdline,
    sysroot,
    root: byteString(''),
    initramfs: isInitramfs(),
    sysrootWritable: isWritable(sysroot),
    kernel,
  });
  if (decision.target !== undefined && decision.plan !== undefined) tellDeployment(decision.target);
  return follow(decision, kernel);
}

/**
 * Makes the next root ready in a running system, for `systemctl soft-reboot`.
 *
 * @param deployment the directory of the deployment below /sysroot, without symlinks
 */
export function softReboot(deployment: ByteString): Outcome {
  const kernel = probeKernel(bootSystem, bootMountCalls);
  const decision = planSoftReboot(bootSystem, portableHash, {
    cmdline: readCommandLine(),
    sysroot: SYSROOT,
    deployment,
    kernel,
  });
  return follow(decision, kernel);
}

function follow(decision: BootDecision, kernel: KernelFacts): Outcome {
  for (const line of decision.notices) print(STDOUT, line);
  if (decision.warnings.length > 0) warn(decision.warnings);
  if (decision.plan === undefined) return { decision, refused: refuse(decision) };
  try {
    mountPlan(decision.plan, kernel, (message) => print(STDERR, message));
    tell(PRIORITY.info, BOOT_MESSAGE_ID, [bootLine(decision)]);
    return { decision, refused: undefined };
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
    return { decision, refused: refuseAfter(decision, error, 'mounted') };
  }
}

/** Tells everyone that what was decided did not come about. */
export function refuseAfter(decision: BootDecision, error: SealtreeError, stage: CheckName): Refused {
  return refuse({ ...decision, plan: undefined, refusal: refusalOf(error, stage) });
}

function refuse(decision: BootDecision): Refused {
  const lines = refusalLines(decision);
  tell(PRIORITY.error, REFUSAL_MESSAGE_ID, lines);
  return { lines: [decision.refusal?.message ?? '', ...lines.slice(1)], onRefusal: decision.onRefusal };
}

/** The kernel's command line without its line end. */
export function readCommandLine(): ByteString {
  const data = bootSystem.readFile(COMMAND_LINE, COMMAND_LINE_LIMIT);
  if (data === undefined) throw new SealtreeError('missing', `${COMMAND_LINE}: No such file or directory`);
  return byteString(byteStringFrom(data).replace(/\n$/, ''));
}

/** Whether this is memory that the boot loader filled, and not the disk. */
export function isInitramfs(): boolean {
  const type = bootSystem.fileSystemOf(ROOT);
  if (type === RAMFS_MAGIC || type === TMPFS_MAGIC) return true;
  return bootSystem.kindOf(byteString('/etc/initrd-release')) !== undefined;
}

function isWritable(sysroot: ByteString): boolean {
  if (bootSystem.kindOf(sysroot) === undefined) return false;
  return using(openForReading(sysroot), (fd) => !fileSystemStatus(fd).readonly);
}

/** By this entry of the journal others find out what was booted. */
function tellDeployment(target: BootTarget): void {
  const path = byteString(target.sysroot + target.deployment);
  const status = statusIfThere(path);
  if (status === undefined) return;
  tellJournal(PRIORITY.info, DEPLOYMENT_MESSAGE_ID, [`Resolved OSTree target to: ${path}`], {
    DEPLOYMENT_PATH: target.deployment,
    DEPLOYMENT_DEVICE: String(deviceNumber(status.major, status.minor)),
    DEPLOYMENT_INODE: String(status.inode),
  });
}

function warn(warnings: readonly string[]): void {
  for (const warning of warnings) print(STDERR, `ostree-prepare-root: warning: ${warning}`);
  tell(PRIORITY.warning, WARNING_MESSAGE_ID, warnings);
}

/** Nobody listening is no reason not to boot. */
function print(fd: number, line: string): void {
  try {
    writeAll(fd, bytesOf(utf8ByteString(`${line}\n`)));
  } catch (error) {
    if (!(error instanceof SealtreeError)) throw error;
  }
}
