import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, parseDuration, sayDuration } from '../../src/lib/duration.js';

describe('parseDuration', () => {
  it.each([
    ['0s', 0],
    ['250ms', 250],
    ['10s', 10_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['30d', 2_592_000_000],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text)).toEqual({ ok: true, ms });
  });

  it.each([
    '',
    '10',
    's',
    '-1s',
    '1.5h',
    '1h30m',
    ' 1s',
    '1 s',
    '1S',
    '1w',
    '9999999999999s',
    '1s\n',
  ])('refuses %j', (text) => {
    expect(parseDuration(text)).toEqual({
      ok: false,
      expected: 'a duration such as 250ms, 10s, 5m, 1h or 30d',
    });
  });

  it('keeps to its bounds and names them', () => {
    const bounds = { minMs: 1_000, maxMs: 5_400_000 };
    expect(parseDuration('1s', bounds).ok).toBe(true);
    expect(parseDuration('90m', bounds).ok).toBe(true);
    expect(parseDuration('999ms', bounds)).toEqual({
      ok: false,
      expected: 'a duration from 1s to 90m',
    });
    expect(parseDuration('2h', bounds).ok).toBe(false);
  });

  it('reads back what formatDuration writes', () => {
    fc.assert(
      fc.property(fc.nat(Number.MAX_SAFE_INTEGER), (ms) => {
        const parsed = parseDuration(formatDuration(ms % 999_999_999_999));
        expect(parsed).toEqual({ ok: true, ms: ms % 999_999_999_999 });
      }),
    );
  });
});

describe('sayDuration', () => {
  it.each([
    [0, '0 ms'],
    [999, '999 ms'],
    [9_190, '9.2 s'],
    [10_000, '10 s'],
    [59_949, '59.9 s'],
    [59_960, '1 min'],
    [90_000, '1 min 30 s'],
    [3_599_900, '1 h'],
    [5_400_000, '1 h 30 min'],
    [86_399_999, '1 d'],
    [90_000_000, '1 d 1 h'],
  ])('says %d ms', (ms, text) => {
    expect(sayDuration(ms)).toBe(text);
  });
});
