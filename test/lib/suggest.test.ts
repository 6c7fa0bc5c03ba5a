import { expect, it } from 'vitest';
import { suggest } from '../../src/lib/suggest.js';

it.each([
  ['CRSH', 'CRASH'],
  ['crash', 'CRASH'],
  ['RSEET', 'RESET'],
  ['SHUTDOWNS', 'SHUTDOWN'],
  ['POWER', null],
  ['', null],
  ['C'.repeat(1_000), null],
])('%s was meant to be %s', (word, meant) => {
  expect(suggest(word, ['SHUTDOWN', 'RESET', 'CRASH'])).toBe(meant);
});

it('has nothing to say without candidates', () => {
  expect(suggest('a', [])).toBeNull();
});
