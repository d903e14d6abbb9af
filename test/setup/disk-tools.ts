/** Sees to the programs that judge disks before the tests that ask them. @module */
import { installDiskTools } from '../disk-tools.ts';

export default function setup(): void {
  installDiskTools();
}
