/** Failures as veritysetup tells them: its sentence, and which of its statuses it exits with. @module */
import { type ErrorCode, SealtreeError } from '../core/errors.ts';

/** Statuses of veritysetup besides 0; `io` and `malformed` count as parameters there. */
export const VERITY_STATUS = { parameters: 1, permission: 2, memory: 3, device: 4, busy: 5 } as const;

/** In `detail` of an error: the status to exit with. */
export const STATUS_DETAIL = 'status';

/** @param status what veritysetup exits with after it; 1 as for most */
export function verityError(
  code: ErrorCode,
  message: string,
  status: keyof typeof VERITY_STATUS = 'parameters',
): SealtreeError {
  // The usage goes only with what the words themselves are wrong about.
  return new SealtreeError(code, message, { [STATUS_DETAIL]: VERITY_STATUS[status], help: 'no' });
}
