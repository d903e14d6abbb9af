/** What `--version` prints, for each of the programs that sealtree can be. @module */
import type { Tool } from './verb.ts';

declare const SEALTREE_VERSION: string;

/** Versions of the real tools whose behaviour is followed. */
export const FOLLOWED = {
  ostree: '2026.4',
  composefs: '1.0.8',
  fsverity: '1.6',
  cryptsetup: '2.8.8',
} as const;

/** Newline at the end. As ostree it is YAML with the keys that scripts look for. */
export function versionText(program: Tool): string {
  switch (program) {
    case 'ostree':
      return [
        'libostree:',
        ` Version: '${FOLLOWED.ostree}'`,
        ` Sealtree: '${SEALTREE_VERSION}'`,
        ' Features:',
        '  - composefs',
        '  - ex-fsverity',
        '  - sign-ed25519',
        '',
      ].join('\n');
    case 'veritysetup':
      return `veritysetup ${FOLLOWED.cryptsetup}\n`;
    case 'dmverity-vhd':
      return 'dmverity-vhd version 0.0.0\n';
    case 'fsverity':
      return `fsverity v${FOLLOWED.fsverity}\n`;
    default:
      return `sealtree ${SEALTREE_VERSION}\n`;
  }
}
