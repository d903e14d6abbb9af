/** Stages of the test run: unit and cli, then the comparisons with the real tools, then the fuzz runs, then virtual machines. @module */
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const build = './test/setup/build.ts';
const peers = './test/setup/peers.ts';
const program = './test/setup/program.ts';
const diskTools = './test/setup/disk-tools.ts';
const boot = './test/setup/boot.ts';

export default defineConfig({
  test: {
    reporters: ['default', './test/setup/reporter.ts'],
    include: [],
    // One file for each processor: most of the time a test waits for a program.
    maxWorkers: availableParallelism(),
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/cli/**', 'test/live/**', 'test/initramfs/**', 'test/fuzz/**', 'test/boot/**'],
          globalSetup: [build],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'cli',
          include: ['test/cli/**/*.test.ts'],
          globalSetup: [build],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'live',
          include: ['test/live/**/*.test.ts', 'test/initramfs/**/*.test.ts'],
          globalSetup: [build, peers, program, diskTools],
          testTimeout: 600_000,
          hookTimeout: 600_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'fuzz',
          include: ['test/fuzz/**/*.test.ts'],
          globalSetup: [build, peers, program],
          testTimeout: 600_000,
          hookTimeout: 600_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'boot',
          include: ['test/boot/**/*.test.ts'],
          globalSetup: [build, peers, program, boot],
          testTimeout: 600_000,
          hookTimeout: 1_200_000,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
