/**
 * Where a boot says what it did: the kernel's log, which is on the console, and the journal by its native protocol
 * (systemd's "Journal Protocols"). Nothing here fails: who cannot be told is not told.
 * @module
 */
import { type ByteString, byteString, bytesOf, utf8ByteString } from '../src/core/bytes/byte-string.ts';
import { cString, kernel } from './sys.ts';
import { using, writeTo } from './system.ts';

const NAME = 'ostree-prepare-root';

/** Of the message by which ostree and its users find the deployment that was booted: ostree's own. */
export const DEPLOYMENT_MESSAGE_ID = '7170336a73ba4601bad31af888aa0df7';
export const BOOT_MESSAGE_ID = '57afac1460eb4434a41d292d7173634c';
export const REFUSAL_MESSAGE_ID = 'c339f2ec0211496989b87a95bb2efe80';
export const WARNING_MESSAGE_ID = '3570b190bac84cc4b9f5b55d8d088a36';

/** Priorities of syslog(3). */
export const PRIORITY = { error: 3, warning: 4, info: 6 } as const;

type Priority = (typeof PRIORITY)[keyof typeof PRIORITY];

const KMSG = byteString('/dev/kmsg');
const JOURNAL = byteString('/run/systemd/journal/socket');

/** Tells the kernel's log, line by line, and the journal, as one entry. */
export function tell(
  priority: Priority,
  messageId: string,
  lines: readonly string[],
  fields: Readonly<Record<string, string>> = {},
): void {
  for (const line of lines) tellKernel(priority, line);
  tellJournal(priority, messageId, lines, fields);
}

/** One entry of the journal; FIELDS beside the usual ones. */
export function tellJournal(
  priority: Priority,
  messageId: string,
  lines: readonly string[],
  fields: Readonly<Record<string, string>> = {},
): void {
  const all = {
    MESSAGE: lines.join('\n'),
    MESSAGE_ID: messageId,
    PRIORITY: String(priority),
    SYSLOG_IDENTIFIER: NAME,
    ...fields,
  };
  const data = Object.entries(all)
    .map(([key, value]) => journalField(key, utf8ByteString(value)))
    .join('');
  quietly(() => {
    const AF_UNIX = 1;
    const SOCK_DGRAM = 2;
    const SOCK_CLOEXEC = 0o2000000;
    const MSG_DONTWAIT = 0x40;
    const fd = kernel.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    // struct sockaddr_un: family, path
    const address = new Uint8Array([AF_UNIX, 0, ...new Uint8Array(cString(JOURNAL))]);
    using(fd, () => kernel.sendto(fd, exact(data), MSG_DONTWAIT, address.buffer));
  });
}

function tellKernel(priority: Priority, line: string): void {
  quietly(() => writeTo(KMSG, bytesOf(utf8ByteString(`<${priority}>${NAME}: ${line}\n`))));
}

/** `KEY=value`, or with the length of the value where it has line ends. */
function journalField(key: string, value: ByteString): string {
  if (!value.includes('\n')) return `${key}=${value}\n`;
  let length = '';
  for (let i = 0, rest = value.length; i < 8; i++, rest = Math.floor(rest / 256))
    length += String.fromCharCode(rest % 256);
  return `${key}\n${length}${value}\n`;
}

function exact(data: string): ArrayBuffer {
  return bytesOf(byteString(data)).slice().buffer;
}

function quietly(act: () => void): void {
  try {
    act();
  } catch {
    // There is nobody else to tell.
  }
}
