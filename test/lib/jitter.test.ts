import { expect, it } from 'vitest';
import { jitter } from '../../src/lib/jitter.js';

it('depends on its parts alone, and on where one ends', () => {
  expect(jitter('incident', 2)).toBe(jitter('incident', 2));
  expect(jitter('incident', 2)).not.toBe(jitter('incident', 3));
  expect(jitter('a', 'bc')).not.toBe(jitter('ab', 'c'));
});

it('spreads neighbouring incidents over the whole of [0, 1)', () => {
  const counts = new Array<number>(10).fill(0);
  for (let index = 0; index < 10_000; index += 1) {
    const value = jitter(`host-1-${index}`, 2);
    expect(value).toBeGreaterThanOrEqual(0);
    expect(value).toBeLessThan(1);
    counts[Math.floor(value * 10)] = (counts[Math.floor(value * 10)] ?? 0) + 1;
  }
  // 1000 each; six standard deviations.
  for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(180);
});
