/** Loop devices, for kernels that mount EROFS from block devices alone: loop(4). @module */
import { type ByteString, byteString } from '../bytes/byte-string.ts';
import { failedWith } from '../errno.ts';
import type { MountCalls } from './calls.ts';

export interface LoopDevice {
  readonly path: ByteString;
  /** Keeps the device until something has mounted it. */
  readonly fd: number;
}

const LO_FLAGS_READ_ONLY = 1;
const LO_FLAGS_AUTOCLEAR = 4;
const LO_FLAGS_DIRECT_IO = 16;
const ATTEMPTS = 64;

/**
 * Makes a read-only block device of an open file, with blocks of 4096 bytes. It goes away by itself when its
 * descriptor is closed and nothing has it mounted.
 */
export function attachLoopDevice(calls: MountCalls, file: number): LoopDevice {
  const control = calls.openDevice(byteString('/dev/loop-control'), true);
  try {
    for (let attempt = 0; ; attempt++) {
      const path = byteString(`/dev/loop${calls.freeLoopDevice(control)}`);
      const fd = calls.openDevice(path, false);
      try {
        configure(calls, fd, file);
        return { path, fd };
      } catch (error) {
        calls.close(fd);
        // Somebody else was faster to take it.
        if (!failedWith(error, 'EBUSY') || attempt === ATTEMPTS) throw error;
      }
    }
  } finally {
    calls.close(control);
  }
}

function configure(calls: MountCalls, fd: number, file: number): void {
  const flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
  try {
    calls.configureLoopDevice(fd, loopConfig(file, flags));
  } catch {
    // Direct input and output may not suit the file system that the file is on.
    calls.configureLoopDevice(fd, loopConfig(file, flags & ~LO_FLAGS_DIRECT_IO));
  }
}

/** struct loop_config: file, block size, struct loop_info64 with its flags at 52, eight reserved numbers. */
function loopConfig(file: number, flags: number): Uint8Array {
  const config = new Uint8Array(4 + 4 + 232 + 64);
  const view = new DataView(config.buffer);
  view.setUint32(0, file, true);
  view.setUint32(4, 4096, true);
  view.setUint32(8 + 52, flags, true);
  return config;
}
