/** Writing the sealed file; sealed.ts reads it. @module */
import { type ByteString, byteString, displayByteString } from '../bytes/byte-string.ts';
import { SealtreeError } from '../errors.ts';
import { encodePublicKey, type PublicKey } from '../sign/keys.ts';
import type { Demands } from './demands.ts';
import { setKey } from './keyfile.ts';
import { compareModes, type Mode } from './prepare-root.ts';
import type { Sealed } from './sealed.ts';

/**
 * The text of the sealed file that says this.
 *
 * @throws SealtreeError `usage` for an argument or a piece of metadata that cannot stand in a list
 */
export function writeSealed(sealed: Sealed): ByteString {
  let text = byteString('');
  const set = (group: string, key: string, value: string | undefined) => {
    if (value !== undefined)
      text = setKey(text, byteString(group), byteString(key), byteString(value), 'sealed.conf');
  };
  set('sealed', 'mode', sealed.mode);
  set('sealed', 'refusal', sealed.refusal);
  set('sealed', 'arguments', sealed.arguments?.map((word) => listed(word)).join(';'));
  set('keys', 'trusted', keyList(sealed.trusted));
  set('keys', 'revoked', keyList(sealed.revoked));
  const { minimumTimestamp, metadata } = sealed.demands;
  set('composefs', 'minimum-timestamp', minimumTimestamp?.toString());
  if (metadata.length > 0)
    set(
      'composefs',
      'require-metadata',
      metadata.map(({ key, value }) => listed(`${key}=${value}`)).join(';'),
    );
  set('etc', 'unsigned', sealed.unsignedEtc ? 'allow' : undefined);
  return text;
}

/** What a boot demanded. */
export interface Demanded {
  readonly mode: Mode;
  /** Whether a signature by one of `keys` had to be there. */
  readonly signed: boolean;
  readonly keys: readonly PublicKey[];
  /** Those of the sealed file among them. */
  readonly demands: Demands;
}

/** What holds after a boot: beside what the sealed file says what the configuration in the same initramfs demanded. */
export function raiseSealed(sealed: Sealed, { mode, signed, keys, demands }: Demanded): Sealed {
  const isHigher = mode !== 'no' && mode !== 'maybe' && compareModes(mode, sealed.mode) > 0;
  return { ...sealed, mode: isHigher ? mode : sealed.mode, trusted: signed ? keys : sealed.trusted, demands };
}

/** Parts of a list are cut at `;` and lose the blanks around them. */
function listed(part: string): string {
  if (part !== '' && !/;|^\s|\s$|[\0\r\n]/.test(part)) return part;
  const shown = displayByteString(byteString(part));
  throw new SealtreeError(
    'usage',
    `'${shown}' cannot stand in the sealed file: it has a ; or blanks at its ends`,
    {
      help: 'no',
    },
  );
}

function keyList(keys: readonly PublicKey[]): string | undefined {
  return keys.length === 0 ? undefined : keys.map(({ key }) => encodePublicKey(key).trim()).join(';');
}
