import { expect, it } from 'vitest';
import { sealtree } from '../run.ts';

it('names its version', () => {
  expect(sealtree(['--version'])).toMatchObject({ status: 0, stderr: '' });
});
