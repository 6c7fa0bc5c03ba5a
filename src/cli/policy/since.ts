import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../../lib/duration.js';

const YEAR_MS = 366 * 24 * 3_600_000;

/** `7d`, or a time as ISO 8601; as milliseconds since the epoch. */
export const sinceOf = (text: string): number => {
  const duration = parseDuration(text, { minMs: 1_000, maxMs: YEAR_MS });
  if (duration.ok) return Date.now() - duration.ms;
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw new InvalidArgumentError(
    'Expected a duration such as 90m, 24h or 7d, or a time as ISO 8601.',
  );
};
