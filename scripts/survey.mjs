// What a tree holds, and what of it a commit cannot take.

import { isUtf8 } from 'node:buffer';
import { accessSync, constants, lstatSync, readdirSync } from 'node:fs';

/** Folders at the top of a root file system that other file systems are mounted on: their contents are not the tree's. */
const MOUNT_POINTS = ['dev', 'proc', 'sys', 'run'];

/**
 * Walks a tree. Names are latin1 strings, one character for each byte.
 *
 * @param tree its path
 * @returns entries, bytes and blocks of what can be committed, one file to show (path below the tree), and what is
 * skipped: reason to paths below the tree
 */
export function surveyTree(tree) {
  const survey = { entries: 1, bytes: 0, space: 4096, sample: undefined, skipped: new Map() };
  const top = Buffer.from(tree).toString('latin1').replace(/\/+$/, '');
  const device = lstatSync(bytes(`${top}/`)).dev;
  const waiting = [''];
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    for (const name of readdirSync(bytes(`${top}${folder}/`), 'latin1')) {
      const path = `${folder}/${name}`;
      const stat = lstatSync(bytes(`${top}${path}`), { throwIfNoEntry: false });
      if (stat === undefined) continue;
      const reason = reasonToSkip(folder, name, stat, `${top}${path}`, device);
      if (reason !== undefined) {
        if (!survey.skipped.has(reason)) survey.skipped.set(reason, []);
        survey.skipped.get(reason).push(path);
        continue;
      }
      survey.entries++;
      survey.space += 4096 + (stat.isFile() ? Math.ceil(stat.size / 4096) * 4096 : 0);
      if (stat.isDirectory()) waiting.push(path);
      else if (stat.isFile()) {
        survey.bytes += stat.size;
        survey.sample = betterSample(survey.sample, { path, size: stat.size });
      }
    }
  }
  return survey;
}

function reasonToSkip(folder, name, stat, path, device) {
  // Without their folders too: what a kernel's own file system shows comes and goes while it is read.
  if (stat.isDirectory() && stat.dev !== device) return 'other file systems';
  if (MOUNT_POINTS.some((point) => folder === `/${point}`)) return `what is in ${MOUNT_POINTS.join(', ')}`;
  if (!isUtf8(bytes(name))) return 'names that are not UTF-8';
  if (stat.isSocket()) return 'sockets';
  if (stat.isFIFO()) return 'pipes';
  if (stat.isCharacterDevice() || stat.isBlockDevice()) return 'devices';
  if (stat.isSymbolicLink() || process.getuid() === 0) return undefined;
  try {
    accessSync(bytes(path), stat.isDirectory() ? constants.R_OK | constants.X_OK : constants.R_OK);
    return undefined;
  } catch {
    return 'what only other users may read';
  }
}

/** The longest file of at most 64 KiB, one that looks like text if there is one. */
function betterSample(one, other) {
  if (other.size === 0 || other.size > 64 * 1024 || !/^[\x20-\x7e]+$/.test(other.path)) return one;
  if (one === undefined || isText(other) !== isText(one))
    return one === undefined || isText(other) ? other : one;
  return other.size > one.size || (other.size === one.size && other.path < one.path) ? other : one;
}

function isText({ path }) {
  return /(licen[cs]es?|copying|copyright|readme|\.txt|\.conf)[^/]*$/i.test(path);
}

/** A path of one character for each byte, as Node takes one that need not be text. */
export function bytes(path) {
  return Buffer.from(path, 'latin1');
}
