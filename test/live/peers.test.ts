import { expect } from 'vitest';
import { real, realOk } from '../peers.ts';
import { requires } from '../requires.ts';

const { describe, it } = requires({ peers: true });

describe('the real tools', () => {
  it('are those that sealtree is compared with', () => {
    expect(realOk('ostree', ['--version'])).toMatch(/Version: '2026\.[\s\S]*composefs/);
    expect(realOk('fsverity', ['--version'])).toMatch(/^fsverity v1\./);
    expect(real('mkcomposefs', ['--help']).stderr).toContain('--max-version=N');
    expect(real('composefs-info', ['--help']).stderr).toContain('measure-file');
  });
});
