/** Compiles the boot program before the tests that run it. @module */
import { makeProgram } from '../initramfs/program.ts';

export default function setup(): void {
  makeProgram();
}
