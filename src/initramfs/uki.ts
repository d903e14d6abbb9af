/**
 * Unified kernel images: PE executables with the initramfs in a section of their own.
 * Sources: Microsoft PE format, "COFF file header" and "Section table"; UAPI group, "Unified Kernel Image".
 * @module
 */
import { type ByteString, byteString, byteStringFrom } from '../core/bytes/byte-string.ts';
import { malformed } from '../core/errors.ts';

export interface UkiInitramfs {
  /** `.initrd`, and `of profile N` where the image has several. */
  readonly name: string;
  /** A view into the file. */
  readonly data: Uint8Array;
  /** The kernel arguments that are part of the image; undefined if it has none. */
  readonly cmdline: ByteString | undefined;
}

interface Section {
  readonly name: string;
  readonly data: Uint8Array;
}

/** Windows takes 96, systemd-stub no more. */
const SECTION_LIMIT = 96;
/** Each costs as much as a whole image. */
const INITRAMFS_LIMIT = 16;

/** Whether a file is a PE executable. */
export function isPortableExecutable(file: Uint8Array): boolean {
  return file[0] === 0x4d && file[1] === 0x5a;
}

/**
 * Every initramfs of a unified kernel image. Sections before the first `.profile` are those of all profiles, which
 * may have one of their own instead.
 *
 * @throws SealtreeError `malformed` if it is none, or has no initramfs
 */
export function initramfsOfUki(file: Uint8Array): UkiInitramfs[] {
  const profiles: Section[][] = [[]];
  for (const section of sectionsOf(file)) {
    if (section.name === '.profile') profiles.push([]);
    profiles.at(-1)?.push(section);
  }
  const [base = [], ...others] = profiles;
  const cmdlineOf = (sections: readonly Section[]) =>
    sections.find(({ name }) => name === '.cmdline') ?? base.find(({ name }) => name === '.cmdline');
  const found = profiles.flatMap((sections, index) =>
    sections
      .filter(({ name }) => name === '.initrd')
      .map(({ name, data }) => {
        const cmdline = cmdlineOf(sections);
        return {
          name: index === 0 ? name : `${name} of profile ${index}`,
          data,
          cmdline: cmdline === undefined ? undefined : textOf(cmdline.data),
        };
      }),
  );
  // A profile that only has other arguments boots the initramfs of all with them.
  const shared = base.find(({ name }) => name === '.initrd');
  const rearranged = others.flatMap((sections, index) => {
    const own = sections.find(({ name }) => name === '.cmdline');
    if (shared === undefined || own === undefined || sections.some(({ name }) => name === '.initrd'))
      return [];
    return [{ name: `.initrd with profile ${index + 1}`, data: shared.data, cmdline: textOf(own.data) }];
  });
  const all = [...found, ...rearranged];
  if (all.length === 0) throw malformed('a PE executable without a section .initrd');
  if (all.length > INITRAMFS_LIMIT)
    throw malformed(`${all.length} times an initramfs, at most ${INITRAMFS_LIMIT} are allowed`);
  return all;
}

function sectionsOf(file: Uint8Array): Section[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const u16 = (at: number) => view.getUint16(inside(file, at, 2), true);
  const u32 = (at: number) => view.getUint32(inside(file, at, 4), true);
  const header = u32(0x3c);
  if (u32(header) !== 0x4550) throw malformed('no PE executable');
  const count = u16(header + 6);
  if (count > SECTION_LIMIT) throw malformed(`${count} sections, at most ${SECTION_LIMIT} are allowed`);
  const table = header + 24 + u16(header + 20);
  return Array.from({ length: count }, (_, index) => {
    const at = inside(file, table + index * 40, 40);
    const name = byteStringFrom(file, at, at + 8).replace(/\0.*$/s, '');
    // What is in memory counts; the file has it padded, or has only the part that is not zero.
    const size = Math.min(u32(at + 8), u32(at + 16));
    const data = u32(at + 20);
    return { name, data: file.subarray(inside(file, data, size), data + size) };
  });
}

/** @returns `at`, if so many bytes from there on are in the file */
function inside(file: Uint8Array, at: number, length: number): number {
  if (at + length > file.length) throw malformed(`the executable ends before ${at + length}`);
  return at;
}

function textOf(data: Uint8Array): ByteString {
  return byteString(
    byteStringFrom(data)
      .replace(/\0[\s\S]*$/, '')
      .trim(),
  );
}
