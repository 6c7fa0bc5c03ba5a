import { normalize } from '../event/normalize.js';
import type { Problem } from '../event/problem.js';
import { decodedJson, type JsonObject } from '../record/event-json.js';
import { lineInput } from './decode-input.js';
import { LINE_EXPECTED, type Line } from './decode-lines.js';

export interface LineAnswer {
  /** One JSON object. */
  readonly text: string;
  /** False: the line is no input at all (BAD_INPUT). */
  readonly readable: boolean;
}

/** One line of `vmwarden decode`. An answer repeats nothing of the input but the words that the kernel wrote. */
export const decodeLine = ({ number, text }: Line, verbose: boolean): LineAnswer => {
  if (text === null) return badInput(number, null, LINE_EXPECTED);
  const input = lineInput(text);
  switch (input.kind) {
    case 'bad':
      return badInput(number, input.field, input.expected);
    case 'otherExit':
      return { text: NOT_A_SYSTEM_EVENT, readable: true };
    case 'raw': {
      const normalized = normalize(input.raw);
      const output = normalized.ok
        ? decodedJson(normalized.event)
        : problemJson(normalized.problem, verbose);
      return { text: JSON.stringify(output), readable: true };
    }
  }
};

const NOT_A_SYSTEM_EVENT = '{"error":"NOT_A_SYSTEM_EVENT"}';

export const problemJson = (problem: Problem, verbose: boolean): JsonObject => {
  const { code, value, expected, advice } = problem;
  const field = LINE_FIELDS[problem.field] ?? problem.field;
  return verbose ? { error: code, field, value, expected, advice } : { error: code };
};

/** What the fields of a raw event are called in a line. */
const LINE_FIELDS: Readonly<Record<string, string>> = {
  'bytes.record': 'rawHex',
  'bytes.byteOrder': 'endian',
};

const badInput = (line: number, field: string | null, expected: string): LineAnswer => {
  const head = '{"error":"BAD_INPUT","line":';
  return { text: head + line + badTail(field, expected), readable: false };
};

/** What follows the number. There are few, and of a file of garbage each line has one: made once each. */
const badTail = (field: string | null, expected: string): string => {
  const known = BAD_TAILS.get(expected);
  if (known !== undefined) return known;
  const tail = `,${JSON.stringify({ ...(field !== null && { field }), expected }).slice(1)}`;
  BAD_TAILS.set(expected, tail);
  return tail;
};

const BAD_TAILS = new Map<string, string>();
