/**
 * Which of the images of an index is meant.
 * Defined by the OCI Image Format Specification, image-index.md, `platform`.
 * @module
 */
import { SealtreeError } from '../core/errors.ts';

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string | undefined;
}

/** What images are for unless something says otherwise. */
export const DEFAULT_PLATFORM: Platform = { os: 'linux', architecture: 'amd64', variant: undefined };

/** Parses `OS/ARCHITECTURE[/VARIANT]`. @throws SealtreeError `usage` */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/').map((part) => part.trim().toLowerCase());
  const [os = '', architecture = '', variant] = parts;
  if (parts.length < 2)
    throw usage(`platform ${JSON.stringify(text)} must be in os/arch or os/arch/variant format`);
  if (os === '' || architecture === '')
    throw usage(`platform ${JSON.stringify(text)} must include non-empty os and arch`);
  return { os, architecture, variant: variant || undefined };
}

export function platformText({ os, architecture, variant }: Platform): string {
  return [os, architecture, variant].filter((part) => part !== undefined).join('/');
}

/** Whether an image for `offered` is what `wanted` asks for; any variant will do if none is asked for. */
export function isPlatform(offered: Platform, wanted: Platform): boolean {
  return (
    offered.os === wanted.os &&
    offered.architecture === wanted.architecture &&
    (wanted.variant === undefined || offered.variant === wanted.variant)
  );
}

function usage(message: string): SealtreeError {
  return new SealtreeError('usage', message, { help: 'no' });
}
