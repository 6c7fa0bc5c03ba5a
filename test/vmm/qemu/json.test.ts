import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { count, isObject, parseJson, text, word } from '../../../src/vmm/qemu/json.js';
import { LineSplitter } from '../../../src/vmm/qemu/line-splitter.js';

const MAX = 2n ** 64n - 1n;

/** JSON with bare integers of any length, as QEMU prints them. */
const print = (value: unknown): string =>
  typeof value === 'bigint'
    ? value.toString()
    : Array.isArray(value)
      ? `[${value.map(print).join(', ')}]`
      : typeof value === 'object' && value !== null
        ? `{${Object.entries(value)
            .map(([key, member]) => `${JSON.stringify(key)}: ${print(member)}`)
            .join(', ')}}`
        : (JSON.stringify(value) ?? 'null');

const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.bigInt({ min: -(2n ** 63n), max: MAX }),
    fc.string(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      tie('tree'),
      { maxKeys: 4, noNullPrototype: true },
    ),
  ),
}));

const asParsed = (value: unknown): unknown =>
  typeof value === 'bigint'
    ? Number.isSafeInteger(Number(value))
      ? Number(value)
      : value
    : Array.isArray(value)
      ? value.map(asParsed)
      : typeof value === 'object' && value !== null
        ? Object.fromEntries(Object.entries(value).map(([key, member]) => [key, asParsed(member)]))
        : value;

describe('parseJson', () => {
  it('keeps every integer of 64 bits, and everything else as JSON.parse has it', () => {
    fc.assert(
      fc.property(tree, (value) => {
        expect(parseJson(print(value))).toEqual(asParsed(value));
      }),
    );
  });

  it.each([
    ['18446744073709551615', MAX],
    ['-9223372036854775808', -(2n ** 63n)],
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', 9007199254740992n],
    ['"18446744073709551615"', '18446744073709551615'],
    ['"\\"18446744073709551615"', '"18446744073709551615'],
    ['1.8446744073709551615', Number('1.8446744073709551615')],
    ['18446744073709551615.5', Number('18446744073709551615.5')],
    ['18446744073709551615e2', Number('18446744073709551615e2')],
  ])('%s', (printed, value) => {
    expect(parseJson(printed)).toEqual(value);
  });

  it('refuses what is no JSON, however long its numbers are', () => {
    for (const bad of [
      '',
      '{',
      '18446744073709551615 1',
      '{"a": 18446744073709551615',
      '"1',
      '-',
    ]) {
      expect(() => parseJson(bad)).toThrow(SyntaxError);
    }
  });

  it('reads members of any order and type', () => {
    const object = parseJson('{"a": 18446744073709551615, "b": 3, "c": "x", "d": 1.5, "e": -1}');
    if (!isObject(object)) throw new Error('not an object');
    expect([word(object, 'a'), word(object, 'b'), word(object, 'c')]).toEqual([MAX, 3n, null]);
    expect([word(object, 'd'), word(object, 'e')]).toEqual([null, MAX]);
    expect([count(object, 'b'), count(object, 'c'), count(object, 'z')]).toEqual([3, null, null]);
    expect([text(object, 'c'), text(object, 'b')]).toEqual(['x', '']);
  });
});

describe('LineSplitter', () => {
  it('gives the same lines however the stream was cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme' }).filter((line) => !/[\r\n]/.test(line))),
        fc.array(fc.nat(20), { minLength: 1 }),
        (lines, cuts) => {
          const bytes = Buffer.from(lines.map((line) => `${line}\r\n`).join(''));
          const splitter = new LineSplitter(10_000);
          const seen: string[] = [];
          let at = 0;
          for (let turn = 0; at < bytes.length; turn += 1) {
            const size = (cuts[turn % cuts.length] ?? 0) + 1;
            expect(splitter.push(bytes.subarray(at, at + size), (line) => seen.push(line))).toBe(
              true,
            );
            at += size;
          }
          expect(seen).toEqual(lines.map((line) => line.trimEnd()));
        },
      ),
    );
  });

  it('refuses a line past its bound, whole or in parts, and takes one of just that length', () => {
    const lines: string[] = [];
    const take = (line: string): unknown => lines.push(line);
    expect(new LineSplitter(4).push(Buffer.from('abcd\n'), take)).toBe(true);
    expect(new LineSplitter(4).push(Buffer.from('abcde\n'), take)).toBe(false);
    const parts = new LineSplitter(4);
    expect(parts.push(Buffer.from('abc'), take)).toBe(true);
    expect(parts.push(Buffer.from('de'), take)).toBe(false);
    expect(lines).toEqual(['abcd']);
  });
});
