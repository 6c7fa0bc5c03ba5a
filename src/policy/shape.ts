import type * as z from 'zod';
import { suggest } from '../lib/suggest.js';
import { type Path, PROBLEMS, type ProblemId, printable } from './problem.js';

/** How a check tells what it found; the parser knows where that stands. */
export type Report = (
  id: ProblemId,
  path: Path,
  message: string,
  hint?: string,
  part?: 'key' | 'value',
) => void;

/** Tells zod's issues in our words: what stood there, what was expected, what it may have meant. */
export const reportShape = (
  issues: readonly z.core.$ZodIssue[],
  root: unknown,
  report: Report,
): void => {
  const tell = (issue: z.core.$ZodIssue, base: Path): void => {
    const path = [...base, ...issue.path.map(asPathPart)];
    const value = valueAt(root, path);
    switch (issue.code) {
      case 'unrecognized_keys':
        for (const key of issue.keys) {
          const known = issue.message.split(' ');
          const message = `unknown key ${printable(key)}; expected one of ${known.join(', ')}`;
          report(PROBLEMS.unknownKey, [...path, key], message, didYouMean(key, known), 'key');
        }
        return;
      case 'invalid_union':
        // Only steps are unions: of a bare word, and a map (last).
        for (const nested of issue.errors.at(isRecord(value) ? -1 : 0) ?? []) tell(nested, path);
        return;
      case 'invalid_key':
        report(
          PROBLEMS.outOfRange,
          path,
          `the key ${printable(path.at(-1))} won't do; expected ${issue.issues[0]?.message ?? 'text'}`,
          '',
          'key',
        );
        return;
      case 'invalid_value': {
        const known = issue.values.map(String);
        const expected = `expected ${known.length === 1 ? '' : 'one of '}${known.join(', ')}`;
        if (value === undefined || value === null) {
          report(PROBLEMS.missing, path, `is missing; ${expected}`, '', 'key');
        } else {
          const choice = typeof value === 'string' && known.length > 1;
          const hint = choice ? didYouMean(value, known) : '';
          report(PROBLEMS.unknownWord, path, `${printable(value)} is not known; ${expected}`, hint);
        }
        return;
      }
      case 'invalid_type': {
        // The schema's own phrase, where it has one.
        const expected = issue.message.startsWith('expected ')
          ? issue.message
          : `expected ${TYPES[issue.expected] ?? issue.expected}`;
        if (value === undefined || value === null) {
          report(PROBLEMS.missing, path, `is missing; ${expected}`, '', 'key');
        } else {
          report(PROBLEMS.wrongType, path, `${printable(value)} stands here; ${expected}`);
        }
        return;
      }
      case 'too_small':
        report(
          PROBLEMS.outOfRange,
          path,
          outOfRange(
            value,
            issue.origin,
            issue.inclusive === false ? 'more than' : 'at least',
            issue.minimum,
          ),
        );
        return;
      case 'too_big':
        report(
          PROBLEMS.outOfRange,
          path,
          outOfRange(value, issue.origin, 'at most', issue.maximum),
        );
        return;
      case 'invalid_format':
        report(
          PROBLEMS.outOfRange,
          path,
          `${printable(value)} won't do; expected ${issue.message}`,
        );
        return;
      case 'custom': {
        const { id, hint } = (issue.params ?? {}) as { id: ProblemId; hint?: string };
        // A step whose one key is unknown lacks no verb: that is told already.
        if (id === PROBLEMS.stepShape && isRecord(value) && Object.keys(value).length === 1) return;
        const found = isRecord(value)
          ? issue.message
          : `${printable(value)} won't do; ${issue.message}`;
        report(id, path, found, hint);
        return;
      }
      case 'not_multiple_of':
      case 'invalid_element':
        report(PROBLEMS.wrongType, path, `${printable(value)} won't do; ${issue.message}`);
        return;
      default:
        issue satisfies never;
    }
  };
  for (const issue of issues) tell(issue, []);
};

const TYPES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  array: 'a list, such as [restart]',
  object: 'a map',
  record: 'a map',
};

const outOfRange = (
  value: unknown,
  origin: string,
  relation: string,
  bound: number | bigint,
): string => {
  if (Array.isArray(value)) {
    return value.length === 0
      ? 'the list is empty; expected at least one entry'
      : `the list has ${value.length} entries; expected ${relation} ${bound}`;
  }
  const unit = origin === 'string' ? ' characters' : '';
  return `${printable(value)} is out of range; expected ${relation} ${bound}${unit}`;
};

export const didYouMean = (word: string, known: readonly string[]): string => {
  const meant = suggest(word, known);
  return meant === null ? '' : `did you mean ${meant}?`;
};

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The part of the raw value; undefined when it isn't there. */
export const valueAt = (root: unknown, path: Path): unknown =>
  path.reduce<unknown>((value, part) => {
    if (Array.isArray(value)) return value[Number(part)];
    return isRecord(value) && Object.hasOwn(value, part) ? value[part] : undefined;
  }, root);

const asPathPart = (part: PropertyKey): string | number =>
  typeof part === 'symbol' ? String(part) : part;
