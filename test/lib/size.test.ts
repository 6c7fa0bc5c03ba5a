import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatSize, parseSize, saySize } from '../../src/lib/size.js';

test.each([
  ['0B', 0],
  ['512KiB', 512 * 1024],
  ['64MiB', 64 * 1024 ** 2],
  ['1GiB', 1024 ** 3],
  ['2TiB', 2 * 1024 ** 4],
])('%s', (text, bytes) => {
  expect(parseSize(text)).toEqual({ ok: true, bytes });
});

test.each(['', '1', '1GB', '1 GiB', '1.5GiB', '-1B', '1gib', '1GiBx'])('%j is no size', (text) => {
  expect(parseSize(text)).toEqual({ ok: false, expected: 'a size such as 512KiB, 64MiB or 1GiB' });
});

test('bounds are part of the answer', () => {
  expect(parseSize('3GiB', { minBytes: 1024, maxBytes: 1024 ** 3 })).toEqual({
    ok: false,
    expected: 'a size from 1KiB to 1GiB',
  });
});

test('what is formatted reads back', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 31 }), (bytes) => {
      expect(parseSize(formatSize(bytes))).toEqual({ ok: true, bytes });
    }),
  );
});

test.each([
  [0, '0 B'],
  [312, '312 B'],
  [1536, '1.5 KiB'],
  [1024 ** 3, '1 GiB'],
])('%d bytes are %s', (bytes, text) => {
  expect(saySize(bytes)).toBe(text);
});
