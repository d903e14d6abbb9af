// Installs the dependencies exactly as locked, where that has not been done.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Runs `npm ci` in `root` unless node_modules holds what package-lock.json says. Ends the program if that fails. */
export function ensureInstalled(root) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    fail(`Node.js 20.19 or later is needed, this is ${process.versions.node}`);
  }
  if (isInstalled(root)) return;
  // Also where NODE_ENV=production would leave out what building needs. The programs of packages come prebuilt: none of
  // their scripts has to run.
  const args = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
  const { status } = spawnSync('npm', args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) fail('npm ci failed: is the npm registry in reach?');
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

function isInstalled(root) {
  const installed = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(installed)) return false;
  const packages = (path) => JSON.parse(readFileSync(path, 'utf8')).packages;
  const here = packages(installed);
  return Object.entries(packages(join(root, 'package-lock.json'))).every(
    ([path, { version, optional }]) =>
      path === '' || here[path]?.version === version || (optional && !here[path]),
  );
}
