/** A dump file like that of a distribution's /usr, of any length. @module */
import { type ByteString, byteString } from '../src/core/bytes/byte-string.ts';
import { numbers } from './random.ts';

const LABELS = ['lib_t', 'bin_t', 'usr_t', 'locale_t', 'fonts_t', 'man_t'];
const WORDS = ['core', 'data', 'index', 'locale', 'module', 'plugin', 'schema', 'theme', 'util', 'zone'];
const FILES_PER_DIRECTORY = 11;

/**
 * Emits `entries` lines: directories in each other, files with content elsewhere and their digests, small files held
 * in the image, symlinks, and an SELinux label on everything.
 */
export function writeSystemDump(entries: number, seed: number, emit: (text: ByteString) => void): void {
  const random = numbers(seed);
  const directories = ['/', '/usr'];
  let pending = `/ 4096 40755 3 0 0 0 1700000000.0 - - - security.selinux=system_u:object_r:root_t:s0\\x00\n`;
  pending += line('/usr', 0o40755, 2, 0, '-', '-', '-', 'usr_t');
  for (let written = 2; written < entries; ) {
    const parent = directories[1 + (random() % Math.min(directories.length - 1, 400))] as string;
    const directory = `${parent}/${word(random())}-${directories.length.toString(36)}`;
    directories.push(directory);
    pending += line(directory, 0o40755, 2, 0, '-', '-', '-', label(random()));
    written++;
    for (let i = 0; i < FILES_PER_DIRECTORY && written < entries; i++, written++) {
      const name = `${directory}/${word(random())}_${i}.${random().toString(36)}`;
      const kind = random() % 16;
      if (kind === 0) pending += line(name, 0o120777, 1, 11, '../elsewhere', '-', '-', label(random()));
      else if (kind === 1) pending += line(name, 0o100644, 1, 9, '-', 'small\\x0aone', '-', label(random()));
      else {
        const digest = Array.from({ length: 8 }, () => random().toString(16).padStart(8, '0')).join('');
        const mode = kind < 5 ? 0o100755 : 0o100644;
        const path = `${digest.slice(0, 2)}/${digest.slice(2)}`;
        pending += line(name, mode, 1, 65 + (random() % 300_000), path, '-', digest, label(random()));
      }
    }
    if (pending.length > 1 << 16) {
      emit(byteString(pending));
      pending = '';
    }
  }
  emit(byteString(pending));
}

function line(
  path: string,
  mode: number,
  nlink: number,
  size: number,
  payload: string,
  content: string,
  digest: string,
  type: string,
): string {
  const status = `${size} ${mode.toString(8)} ${nlink} 0 0 0 1700000000.0`;
  return `${path} ${status} ${payload} ${content} ${digest} security.selinux=system_u:object_r:${type}:s0\\x00\n`;
}

function word(number: number): string {
  return WORDS[number % WORDS.length] as string;
}

function label(number: number): string {
  return LABELS[number % LABELS.length] as string;
}
