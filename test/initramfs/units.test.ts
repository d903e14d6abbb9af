import { describe, expect, it } from 'vitest';
import { loadUnit, type Unit } from '../../src/initramfs/units.ts';
import { directory, file, symlink, unpacked } from './newc.ts';

const FOLDERS = [
  'etc',
  'etc/systemd',
  'etc/systemd/system',
  'usr',
  'usr/lib',
  'usr/lib/systemd',
  'usr/lib/systemd/system',
];
const ETC = 'etc/systemd/system';
const LIB = 'usr/lib/systemd/system';

/** Files below the root, directories made as they are needed. */
function unit(
  files: Record<string, string>,
  links: Record<string, string> = {},
): Unit | 'masked' | undefined {
  const folders = new Set(FOLDERS);
  for (const path of [...Object.keys(files), ...Object.keys(links)])
    folders.add(path.slice(0, path.lastIndexOf('/')));
  return loadUnit(
    unpacked(
      ...[...folders].map((path) => directory(path)),
      ...Object.entries(files).map(([path, text]) => file(path, text)),
      ...Object.entries(links).map(([path, target]) => symlink(path, target)),
    ),
    'a-b.service',
  );
}

function loaded(...args: Parameters<typeof unit>): Unit {
  const found = unit(...args);
  if (found === undefined || found === 'masked') throw new Error(`${found}`);
  return found;
}

/** Rules: systemd.unit(5), systemd.syntax(7). */
describe('a unit', () => {
  it('comes from the first directory that has it', () => {
    const found = loaded({
      [`${ETC}/a-b.service`]: '[Unit]\nDescription=mine',
      [`${LIB}/a-b.service`]: '[Unit]\nDescription=theirs',
    });
    expect(found.path).toBe('/etc/systemd/system/a-b.service');
    expect(found.values('Unit', 'Description')).toEqual(['mine']);
    expect(unit({})).toBeUndefined();
  });

  it('is masked by a link to /dev/null, and by an empty file', () => {
    const there = { [`${LIB}/a-b.service`]: '[Unit]\n' };
    expect(unit(there, { [`${ETC}/a-b.service`]: '/dev/null' })).toBe('masked');
    expect(unit(there, { [`${ETC}/a-b.service`]: '../../../dev/null' })).toBe('masked');
    expect(unit({ ...there, [`${ETC}/a-b.service`]: '' })).toBe('masked');
    expect(unit(there, { [`${ETC}/a-b.service`]: `/${LIB}/a-b.service` })).not.toBe('masked');
  });

  it('is added to by drop-ins of its name, of the beginnings of its name and of its type, in the order of their names', () => {
    const found = loaded({
      [`${LIB}/a-b.service`]: '[Service]\nExecStart=/one\n',
      [`${LIB}/service.d/30.conf`]: '[Service]\nExecStart=/four\n',
      [`${LIB}/a-.service.d/20.conf`]: '[Service]\nExecStart=/three\n',
      [`${LIB}/a-b.service.d/10.conf`]: '[Service]\nExecStart=/two\n',
      [`${LIB}/a-b.service.d/README`]: '[Service]\nExecStart=/no\n',
      [`${LIB}/a-b.service.d/40.conf`]: '[Service]\nExecStart=/theirs\n',
      [`${ETC}/a-b.service.d/40.conf`]: '[Service]\nExecStart=/mine\n',
    });
    expect(found.values('Service', 'ExecStart')).toEqual(['/one', '/two', '/three', '/four', '/mine']);
    expect(found.dropIns).toHaveLength(4);
  });

  it('forgets with an empty value what stood before', () => {
    const found = loaded({
      [`${LIB}/a-b.service`]:
        '[Unit]\nConditionPathExists=/x\nRequires=c.service\n[Service]\nExecStart=/one\n',
      [`${ETC}/a-b.service.d/x.conf`]:
        '[Unit]\nConditionKernelCommandLine=\nConditionKernelCommandLine=a\nRequires=\n[Service]\nExecStart=\nExecStart=/two\n',
    });
    expect(found.values('Service', 'ExecStart')).toEqual(['/two']);
    expect(found.conditions('Condition').map(({ key, value }) => `${key}=${value}`)).toEqual([
      'ConditionKernelCommandLine=a',
    ]);
    // Dependencies stay.
    expect(found.names('Requires')).toEqual(['c.service']);
  });

  it('depends on what its directories link to', () => {
    const found = loaded(
      {
        [`${LIB}/a-b.service`]: '[Unit]\nWants=x.service "y.service"\n',
        [`${LIB}/a-b.service.wants/file.service`]: 'no link',
      },
      {
        [`${LIB}/a-b.service.wants/z.service`]: '../z.service',
        [`${ETC}/a-b.service.requires/r.service`]: '/nowhere',
      },
    );
    expect(found.names('Wants')).toEqual(['x.service', 'y.service', 'z.service']);
    expect(found.names('Requires')).toEqual(['r.service']);
  });

  it('is read line by line: comments, blanks, lines that go on', () => {
    const found = loaded({
      [`${LIB}/a-b.service`]:
        '# x\n[Service]\n ExecStart = /one \\\n# between\n; too\n  two\n\nExecStart=/three\\\n[Unit]\nX=y',
    });
    expect(found.values('Service', 'ExecStart')).toEqual(['/one  two', '/three [Unit]']);
    expect(found.values('Service', 'X')).toEqual(['y']);
  });
});
