/** Programs that judge disks: e2fsprogs, dosfstools, mtools, gdisk. Installed where root proves the project. @module */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const PACKAGES: Readonly<Record<string, string>> = {
  e2fsck: 'e2fsprogs',
  debugfs: 'e2fsprogs',
  'fsck.vfat': 'dosfstools',
  mcopy: 'mtools',
  sgdisk: 'gdisk',
};

export const DISK_TOOLS = Object.keys(PACKAGES);

/** Installs what is missing, as root on a machine with apt-get; elsewhere the tests say what they need. */
export function installDiskTools(): void {
  const missing = DISK_TOOLS.filter(
    (name) => !(process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, name))),
  );
  if (missing.length === 0 || process.getuid?.() !== 0 || process.env.CI !== 'true') return;
  const packages = [...new Set(missing.map((name) => PACKAGES[name] as string))];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', ['update', '--quiet'], { env, stdio: 'ignore' });
  spawnSync('apt-get', ['install', '--quiet', '--yes', '--no-install-recommends', ...packages], {
    env,
    stdio: 'ignore',
  });
}
