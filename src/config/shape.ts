import type * as z from 'zod';
import { suggest } from '../lib/suggest.js';
import { printable } from '../policy/problem.js';
import { knownKeys } from './known-keys.js';
import { type Finding, finding, type Path } from './problem.js';
import { configSchema, type WrittenConfig } from './schema.js';

export type Shaped =
  | { readonly ok: true; readonly written: WrittenConfig }
  | { readonly ok: false; readonly findings: readonly Finding[] };

/** The document as the schema has it, or everything that is wrong with its keys and values. */
export const shape = (value: unknown): Shaped => {
  const result = configSchema.safeParse(value);
  if (result.success) return { ok: true, written: result.data };
  return { ok: false, findings: result.error.issues.flatMap((issue) => findingsOf(issue, value)) };
};

const findingsOf = (issue: z.core.$ZodIssue, document: unknown): Finding[] => {
  const path = issue.path.filter((part) => typeof part !== 'symbol');
  const value = at(document, path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(path, key));
    case 'invalid_type':
      return [wrong(path, value, TYPES[issue.expected] ?? issue.expected, typeHint(issue, value))];
    case 'invalid_value':
      return [oneOf(path, value, issue.values.map(String))];
    case 'invalid_union':
      // Only drivers are a union, told apart by their kind.
      return [oneOf(path, value, knownKinds(issue))];
    case 'invalid_key':
      return [
        { ...finding(path, `expected ${issue.issues[0]?.message ?? 'another key'}`), part: 'key' },
      ];
    case 'too_big':
      return [finding(path, `more entries than ${issue.maximum}`)];
    default:
      return [wrong(path, value, issue.message, '')];
  }
};

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  boolean: 'true or false',
  object: 'a map',
  record: 'a map',
  array: 'a list',
};

const typeHint = (issue: z.core.$ZodIssueInvalidType, value: unknown): string =>
  issue.expected === 'string' && (typeof value === 'number' || typeof value === 'boolean')
    ? `write it in quotes: "${value}"`
    : '';

const knownKinds = (issue: z.core.$ZodIssueInvalidUnion): string[] =>
  'options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : [];

const wrong = (path: Path, value: unknown, expected: string, hint: string): Finding =>
  value === undefined
    ? finding(path, `is missing; expected ${expected}`, hint)
    : finding(path, `got ${printable(withoutPassword(value))}, expected ${expected}`, hint);

/** Of a URL that should have none. */
const withoutPassword = (value: unknown): unknown =>
  typeof value === 'string' ? value.replace(/:\/\/[^/]*@/, '://***@') : value;

const oneOf = (path: Path, value: unknown, words: readonly string[]): Finding => {
  const expected = words.length === 1 ? `${words[0]}` : `one of ${words.join(', ')}`;
  const near = typeof value === 'string' ? suggest(value, words) : null;
  return wrong(path, value, expected, near === null ? '' : `did you mean ${near}?`);
};

const unknownKey = (path: Path, key: string): Finding => {
  const known = knownKeys(configSchema, path);
  const near = suggest(key, known);
  return {
    path: [...path, key],
    part: 'key',
    message: `unknown key ${printable(key)}`,
    hint: near === null ? `known here: ${known.join(', ')}` : `did you mean ${near}?`,
  };
};

const at = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>(
    (inner, part) =>
      typeof inner === 'object' && inner !== null
        ? (inner as Record<string | number, unknown>)[part]
        : undefined,
    value,
  );
