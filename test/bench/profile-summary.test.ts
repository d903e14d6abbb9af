import { expect, it } from 'vitest';
import { summarizeProfiles } from '../../bench/profile-summary.ts';

it('sums up the time of functions by module and thread', () => {
  const frame = (functionName: string, url: string, lineNumber: number) => ({
    functionName,
    url,
    lineNumber,
  });
  const profile = {
    nodes: [
      { id: 1, callFrame: frame('(idle)', '', -1) },
      { id: 2, callFrame: frame('read', 'file:///bundle.js', 1) },
      { id: 3, callFrame: frame('', 'file:///bundle.js', 0) },
    ],
    samples: [2, 1, 2, 3],
    timeDeltas: [1000, 5000, 2000, 500],
  };
  const modulesOf = () => ['src/a.ts', 'src/b.ts'];
  expect(summarizeProfiles([{ thread: 0, profile }], modulesOf)).toBe(`milliseconds by thread
       5.0  thread 0, outside JavaScript, (idle)
       3.5  thread 0, at work

by module
       3.0  src/b.ts
       0.5  src/a.ts

by function
       3.0  read  src/b.ts
       0.5  (anonymous)  src/a.ts
`);
});
