/** Makes what the virtual machines are made of before the tests that boot them. @module */
import { makeBootRoot } from '../boot/root.ts';

export default function setup(): void {
  makeBootRoot();
}
