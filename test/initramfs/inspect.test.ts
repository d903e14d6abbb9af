import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byteString } from '../../src/core/bytes/byte-string.ts';
import { SealtreeError } from '../../src/core/errors.ts';
import { explainInspection, inspectionJson } from '../../src/initramfs/explain-inspection.ts';
import { inspectImage } from '../../src/initramfs/inspect.ts';
import { directory, file, neverCompressed, symlink } from './newc.ts';

const KEY = '11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=';
const FOLDERS = [
  'etc',
  'etc/ostree',
  'etc/systemd',
  'etc/systemd/system',
  'etc/systemd/system/ostree-prepare-root.service.d',
  'scripts',
  'scripts/init-bottom',
  'usr',
  'usr/lib',
  'usr/lib/ostree',
  'usr/lib/sealtree',
  'usr/lib/systemd',
  'usr/lib/systemd/system',
];

/** Every file that is read, with text from which others are made by damage. */
const FILES: Readonly<Record<string, string>> = {
  'usr/lib/ostree/ostree-prepare-root': '\x7fELF sealtree ostree-prepare-root 1.2.3\0',
  'usr/lib/ostree/prepare-root.conf': '[composefs]\nenabled=signed\n[etc]\ntransient=true\n',
  'etc/ostree/prepare-root.conf': '[composefs]\nenabled=yes\nkeypath=/etc/ostree/key\nrequire-metadata=a=b\n',
  'etc/ostree/key': `${KEY}\n# comment\n`,
  'usr/lib/sealtree/sealed.conf': `[sealed]\nmode=signed\narguments=root=*;rw\n[keys]\ntrusted=${KEY}\n[composefs]\nminimum-timestamp=1767225600\n`,
  'usr/lib/systemd/system/ostree-prepare-root.service':
    '[Unit]\nConditionPathExists=/x\n[Service]\nExecStart=/a \\\n b\n',
  'etc/systemd/system/ostree-prepare-root.service.d/x.conf': '[Unit]\nConditionKernelCommandLine=\n',
  'usr/lib/systemd/system/initrd-root-fs.target':
    '[Unit]\nWants=ostree-prepare-root.service\nAssertPathExists=/run/ostree-booted\n',
  'scripts/init-bottom/sealtree': '/usr/lib/ostree/ostree-prepare-root',
  'scripts/init-bottom/ORDER': '/scripts/init-bottom/sealtree "$@"\n',
};

const change = fc.oneof(
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(200) }),
  fc.record({
    kind: fc.constant('put' as const),
    at: fc.nat(200),
    text: fc.string({ unit: 'binary', maxLength: 5 }),
  }),
  fc.record({
    kind: fc.constant('link' as const),
    to: fc.constantFrom(
      ...FOLDERS.map((path) => `/${path}`),
      ...Object.keys(FILES).map((path) => `/${path}`),
      '/dev/null',
    ),
  }),
  fc.constant({ kind: 'gone' as const }),
);

describe('an inspection', () => {
  it('comes to an end in words, whatever stands in the files', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom(...Object.keys(FILES)), change, { maxKeys: 4 }),
        fc.string({ maxLength: 40 }),
        (changes, cmdline) => {
          const members = Object.entries(FILES).flatMap(([path, text]) => {
            const how = changes[path];
            if (how === undefined) return [file(path, text)];
            if (how.kind === 'gone') return [];
            if (how.kind === 'link') return [symlink(path, how.to)];
            const at = Math.min(how.at, text.length);
            return [
              file(
                path,
                how.kind === 'cut'
                  ? text.slice(0, at)
                  : text.slice(0, at) + latin1(how.text) + text.slice(at),
              ),
            ];
          });
          const image = Buffer.concat([...FOLDERS.map((path) => directory(path)), ...members]);
          const [found] = inspectImage(image, neverCompressed, byteString(latin1(cmdline)));
          if (found === undefined) throw new Error('nothing was inspected');
          for (const line of explainInspection(found)) expect(line).toMatch(/^[\x20-\x7e\x80-\uffff]+$/);
          JSON.stringify(inspectionJson([found]));
          // A sealed file that is there is kept, or nothing is booted.
          const kept = found.minimumMode === 'signed' && found.mode === 'signed';
          if (found.sealed && !kept && found.minimumMode !== 'verity' && found.minimumMode !== 'yes')
            expect(found.refusesAll).toBeDefined();
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('refuses a damaged executable, or reads it', () => {
    const image = Buffer.alloc(600);
    image.write('MZ');
    image.writeUInt32LE(64, 0x3c);
    image.write('PE\0\0', 64);
    image.writeUInt16LE(2, 70);
    image.write('.initrd', 88);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(170), fc.nat(255)), { maxLength: 8 }),
        fc.nat(600),
        (changes, length) => {
          const bytes = Buffer.from(image.subarray(0, Math.max(2, length)));
          for (const [at, byte] of changes) if (at > 1 && at < bytes.length) bytes[at] = byte;
          try {
            inspectImage(bytes, neverCompressed, undefined);
          } catch (error) {
            expect(error).toBeInstanceOf(SealtreeError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});

function latin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}
