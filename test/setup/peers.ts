/** Makes the root with the real tools before the tests that compare with them. @module */
import { makePeers } from '../peers.ts';

export default function setup(): void {
  makePeers();
}
