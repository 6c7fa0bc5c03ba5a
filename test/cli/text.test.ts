import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { plainText } from '../../src/cli/plain-text.js';
import { table } from '../../src/cli/table.js';

describe('plainText', () => {
  test.each([
    ['a\u001b[2Jb', 'a?[2Jb'],
    ['a\nb\tc\r', 'a?b?c?'],
    ['\u009b31m', '?31m'],
    ['\u202eabc\u2066', '?abc?'],
    ['half \ud800 pair', 'half ? pair'],
    ['kept: é 日本 😀', 'kept: é 日本 😀'],
  ])('%j is printed as %j', (text, plain) => {
    expect(plainText(text)).toBe(plain);
  });

  test('leaves no control behind, whatever comes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(plainText(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
      }),
    );
  });
});

test('a table aligns its columns, and a cell can not break out of its line', () => {
  expect(
    table([
      ['VM', 'STATE', 'WHY'],
      ['a', 'running', ''],
      ['long-name', 'x\ny', 'because\u001b[0m'],
    ]),
  ).toEqual(['VM         STATE    WHY', 'a          running', 'long-name  x?y      because?[0m']);
});
