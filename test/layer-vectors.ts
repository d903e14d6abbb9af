/** The layer vectors: test/vectors/layers/ORIGIN.md. @module */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

export const LAYER_VECTORS = new URL('vectors/layers/', import.meta.url).pathname;

/** What the peer made of one file: where the answer is an image, of the image. */
export interface PeerFile {
  readonly size: number;
  readonly ext4_blocks?: number;
  readonly ext4_sha256?: string;
  readonly root_hash?: string;
  readonly sha256_normalised?: string;
  readonly verity_offset?: number;
  readonly vhd_footer_offset?: number;
}

export interface PeerRun {
  readonly rc: number;
  readonly err: string;
  readonly stdout?: string;
  readonly stdout_lines?: readonly string[];
  readonly files?: Readonly<Record<string, PeerFile>>;
}

interface Peer {
  readonly layers: Readonly<
    Record<
      string,
      { readonly hashlayer: PeerRun; readonly tar2hashed: PeerRun & { readonly file?: PeerFile } }
    >
  >;
  readonly images: Readonly<
    Record<string, Readonly<Record<'create' | 'create+hash-dev-vhd' | 'roothash', PeerRun>>>
  >;
  readonly datavhd: Readonly<Record<string, PeerRun>>;
}

export const PEER = JSON.parse(readFileSync(`${LAYER_VECTORS}peer.json`, 'utf8')) as Peer;

/** Archives that are kept compressed. */
const COMPRESSED = ['bigdir.tar', 'many.tar'];

/** The bytes of a layer, `basic.tar`. */
export function layerVector(name: string): Uint8Array {
  const path = `${LAYER_VECTORS}tars/${name}`;
  return COMPRESSED.includes(name) ? gunzipSync(readFileSync(`${path}.gz`)) : readFileSync(path);
}
