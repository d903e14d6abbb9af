/** `ostree admin status`: the deployments of a sysroot. @module */
import { byteString, decodeUtf8, displayByteString } from '../../core/bytes/byte-string.ts';
import { SealtreeError } from '../../core/errors.ts';
import { type DeploymentStatus, statusOfAll } from '../../deploy/status.ts';
import { readingSysroot } from '../sysroot.ts';
import type { Context, Verb } from '../verb.ts';

export const verb: Verb = {
  tool: 'ostree',
  path: ['admin', 'status'],
  summary: 'List the deployments, the default first',
  operands: '',
  options: [
    { flags: '-J, --json', description: 'Print them as JSON' },
    {
      flags: '-S, --skip-signatures',
      description: 'Taken for compatibility: signatures are not part of the list',
    },
    {
      flags: '-D, --is-default',
      description: 'Print "default" if the default deployment is the running one, else "not-default"',
    },
  ],
  examples: ['sealtree admin status', 'sealtree admin status --sysroot=/mnt --json'],
  description: ['The running deployment is marked with a star.'],
  run,
};

function run(context: Context): void {
  readingSysroot(context, (sysroot) => {
    const { options, stdout } = context;
    const all = statusOfAll(sysroot);
    if (options.has('json')) {
      stdout.text(jsonOf(all));
    } else if (options.has('is-default')) {
      if (all.length === 0) throw new SealtreeError('missing', 'Not in a booted OSTree system');
      stdout.line(all[0]?.booted === true ? 'default' : 'not-default');
    } else if (all.length === 0) {
      stdout.line('No deployments.');
    } else {
      for (const status of all) printStatus(context, status);
    }
  });
}

function printStatus({ stdout }: Context, status: DeploymentStatus): void {
  const { stateroot, checksum, serial, version, refspec, sourceTitle } = status;
  const line = (text: string) => stdout.write(byteString(`${text}\n`));
  line(`${status.booted ? '*' : ' '} ${stateroot} ${checksum}.${serial}${stateOf(status)}`);
  if (version !== undefined) line(`    Version: ${version}`);
  if (status.unlocked !== 'none') line(`    Unlocked: ${status.unlocked}`);
  if (status.pinned) line('    Pinned: yes');
  if (!status.hasOrigin) {
    line('    origin: none');
    return;
  }
  line(refspec === undefined ? '    origin: <unknown origin type>' : `    origin refspec: ${refspec}`);
  if (sourceTitle !== undefined) line(`    \`- ${sourceTitle}`);
}

function stateOf({ locked, staged, pending, rollback, softReboot }: DeploymentStatus): string {
  const state = locked
    ? ' (finalization locked)'
    : staged
      ? ' (staged)'
      : pending
        ? ' (pending)'
        : rollback
          ? ' (rollback)'
          : '';
  return softReboot ? `${state} (soft-reboot)` : state;
}

/** In the real tool's layout, key by key. */
function jsonOf(all: readonly DeploymentStatus[]): string {
  const objects = all.map((status) => {
    const text = (value: string | undefined) =>
      value === undefined
        ? 'null'
        : JSON.stringify(decodeUtf8(byteString(value)) ?? displayByteString(byteString(value)));
    const fields = [
      ['checksum', text(status.checksum)],
      ['stateroot', text(status.stateroot)],
      ['refspec', text(status.refspec)],
      ['serial', String(status.serial)],
      ['index', String(status.index)],
      ['booted', String(status.booted)],
      ['pending', String(status.pending)],
      ['rollback', String(status.rollback)],
      ['finalization-locked', String(status.locked)],
      ['soft-reboot-target', String(status.softReboot)],
      ['staged', String(status.staged)],
      ['pinned', String(status.pinned)],
      ['unlocked', text(status.unlocked)],
      ...(status.version === undefined ? [] : [['version', text(status.version)]]),
      ...(status.sourceTitle === undefined ? [] : [['source-title', text(status.sourceTitle)]]),
    ];
    return fields.map(([key, value]) => `         "${key}": ${value}`).join(',\n');
  });
  const list = objects.map((object) => `{\n${object}\n      }`).join(',');
  return `{\n   "deployments": [\n      ${list}\n   ]\n}\n`;
}
