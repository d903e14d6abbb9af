/** Writing the sealed file; src/core/conf/sealed.ts reads it. @module */
import { type ByteString, byteString, displayByteString } from '../core/bytes/byte-string.ts';
import { setKey } from '../core/conf/keyfile.ts';
import type { Sealed } from '../core/conf/sealed.ts';
import { SealtreeError } from '../core/errors.ts';
import { encodePublicKey, type PublicKey } from '../core/sign/keys.ts';

/**
 * The text of the sealed file that says this.
 *
 * @throws SealtreeError `usage` for an argument or a piece of metadata that cannot stand in a list
 */
export function writeSealed(sealed: Sealed): ByteString {
  let text = byteString('# Installed by `sealtree initramfs install --sealed`.\n');
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
