import fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapeText, safeText } from '../../src/event/guest-text.js';

test.each([
  ['plain', 'plain', false],
  ['up to\0here', 'up to', false],
  ['\u001b[31mred\n', '\\x1b[31mred\\x0a', true],
  ['\u007f\u009b', '\\x7f\\xc2\\x9b', true],
  ['back\\slash', 'back\\slash', false],
  ['', '', false],
])('%j is safe as %j', (source, text, changed) => {
  expect(escapeText(source, 64)).toEqual({ text, changed });
  expect(escapeText(new TextEncoder().encode(source), 64)).toEqual({ text, changed });
});

test('64 bytes without a terminator are the whole text, a 65th is cut and marked', () => {
  expect(escapeText('A'.repeat(64), 64)).toEqual({ text: 'A'.repeat(64), changed: false });
  expect(escapeText('A'.repeat(65), 64)).toEqual({ text: 'A'.repeat(64), changed: true });
  expect(escapeText(`${'A'.repeat(64)}\0more`, 64).changed).toBe(false);
});

test('whatever comes, printable ASCII goes, four characters a byte at most', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'binary' }), fc.uint8Array({ maxLength: 200 })),
      fc.integer({ min: 0, max: 100 }),
      (source, limit) => {
        const text = safeText(source, limit);
        return /^[ -~]*$/.test(text) && text.length <= 4 * limit;
      },
    ),
    { numRuns: 5000 },
  );
});
