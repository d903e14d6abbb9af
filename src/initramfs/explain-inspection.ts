/** An inspection in words, and as JSON. @module */
import type { Archive } from './archives.ts';
import type { Inspection, KeySource } from './inspect.ts';
import type { Start } from './startup.ts';

/** Wide enough for the longest label. */
const LABEL_WIDTH = 15;

/** The lines that say what an initramfs would enforce. */
export function explainInspection(inspection: Inspection): string[] {
  const rows: [label: string, text: string][] = [];
  const add = (label: string, text: string | undefined) => {
    if (text !== undefined) rows.push([label, text]);
  };
  add('section', inspection.section);
  for (const archive of inspection.archives) add('archive', archiveText(archive));
  add('program', programText(inspection.program));
  for (const start of inspection.starts) add('started by', startText(start));
  add('sealed', sealedText(inspection));
  add('configuration', configurationText(inspection));
  if (inspection.replaced !== undefined) add('replaced', inspection.replaced);
  for (const source of inspection.keySources) for (const text of keyTexts(source)) add('key', text);
  for (const key of inspection.revokedKeys) add('revoked key', key);
  if (inspection.minimumTimestamp !== undefined)
    add(
      'not older than',
      `${new Date(inspection.minimumTimestamp * 1000).toISOString()} (${inspection.minimumTimestamp})`,
    );
  for (const entry of inspection.requiredMetadata) add('must say', entry);
  for (const warning of inspection.warnings) add('warning', warning);
  if (inspection.refusesAll !== undefined) add('REFUSES', `every boot: ${inspection.refusesAll}`);
  return rows.map(([label, text]) => `${label.padEnd(LABEL_WIDTH)} ${text}`);
}

/** What `--json` prints; docs/commands/initramfs-inspect.md describes it. */
export function inspectionJson(inspections: readonly Inspection[]): unknown {
  return {
    format: 'sealtree-initramfs-1',
    initramfs: inspections.map((inspection) =>
      // JSON has no undefined: a member that has no value is null, and always there.
      JSON.parse(JSON.stringify(inspection, (_, value: unknown) => (value === undefined ? null : value))),
    ),
  };
}

function archiveText({ offset, compression, length, size, members }: Archive): string {
  const inside = compression === 'none' ? '' : `, ${size} bytes decompressed`;
  return `${compression === 'none' ? 'cpio' : compression} at ${offset}, ${length} bytes${inside}, ${members} members`;
}

function programText(program: Inspection['program']): string {
  if (program === undefined) return 'none';
  const { kind, version, path, size } = program;
  const name = { sealtree: 'sealtree', ostree: "ostree's own", other: 'unknown' }[kind];
  return `${name}${version === undefined ? '' : ` ${version}`}, ${path}, ${size} bytes`;
}

function startText({ by, path, enabled, masked, enabledBy, conditions }: Start): string {
  const state = masked ? 'masked' : enabled ? `by ${enabledBy.join(', ')}` : 'not enabled';
  return `${by === 'init' ? 'the kernel' : by}: ${path}, ${state}${conditions.map((text) => `, only if ${text}`).join('')}`;
}

function sealedText({ sealed, minimumMode, refusal, allowedArguments }: Inspection): string {
  if (!sealed) return 'no';
  if (minimumMode === undefined) return 'yes, by a file that cannot be followed';
  const words =
    allowedArguments === undefined ? '' : `, kernel arguments ${allowedArguments.join(' ') || 'none'}`;
  return `at least mode ${minimumMode}, then ${refusal}${words}`;
}

function configurationText({ configuration, mode, etcTransient, rootTransient }: Inspection): string {
  if (mode === undefined) return configuration ?? 'not readable';
  const transient = [...(etcTransient ? ['/etc'] : []), ...(rootTransient ? ['/'] : [])];
  return `${configuration ?? 'defaults'}: mode ${mode}${transient.length > 0 ? `, ${transient.join(' and ')} transient` : ''}`;
}

function keyTexts({ path, keys, problem, counts }: KeySource): string[] {
  const where = `${path}${counts ? '' : ', does not count'}`;
  return problem === undefined ? keys.map((key) => `${key}  ${where}`) : [`${where}: ${problem}`];
}
