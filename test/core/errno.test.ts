/** Error numbers against the kernel's, by Node, and texts against glibc's strerror. @module */
import { constants } from 'node:os';
import { expect, it } from 'vitest';
import { errorName, errorNumber, errorText, systemCallError } from '../../src/core/errno.ts';
import { SealtreeError } from '../../src/core/errors.ts';
import { foreign } from '../../src/node/foreign.ts';
import { errnoNameOf, ioError, isErrno } from '../../src/node/io-error.ts';

it('every error number of Node has the name and number that it has there', () => {
  for (const [name, number] of Object.entries(constants.errno)) {
    if (name === 'EWOULDBLOCK') continue; // Another name for EAGAIN.
    expect([name, errorNumber(name)]).toEqual([name, number]);
    if (name !== 'ENOTSUP') expect(errorName(number)).toBe(name);
  }
});

it('every text is what strerror says', () => {
  const strerror = foreign('strerror', 'str', ['int']) as unknown as (number: number) => string;
  for (let number = 1; number < 140; number++)
    expect([number, errorText(number)]).toEqual([number, strerror(number)]);
});

it("an error of Node's gets the words of the system", () => {
  const error = Object.assign(new Error('EACCES: permission denied, open'), { errno: -13, code: 'EACCES' });
  expect(ioError('opening x', error)).toMatchObject({
    code: 'io',
    message: 'opening x: Permission denied',
    detail: { errno: 'EACCES' },
  });
  expect([isErrno(error, 'ENOENT', 'EACCES'), isErrno(error, 'ENOENT')]).toEqual([true, false]);
});

it('the name of a call gives way to a better sentence, once', () => {
  const worded = ioError('linking x', systemCallError('linkat', 'EEXIST'));
  expect(worded.message).toBe('linking x: File exists');
  expect(ioError('committing', worded).message).toBe('committing: linking x: File exists');
  expect(errnoNameOf(ioError('committing', worded))).toBe('EEXIST');
});

it('other errors keep their sentence and code', () => {
  expect(ioError('reading', new SealtreeError('malformed', 'too short'))).toMatchObject({
    code: 'malformed',
    message: 'reading: too short',
  });
  expect(ioError('reading', new TypeError('no'))).toMatchObject({ code: 'internal', message: 'reading: no' });
  expect(errnoNameOf(new TypeError('no'))).toBeUndefined();
});
