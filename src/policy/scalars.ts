import * as z from 'zod';
import { DURATION_PATTERN, type DurationBounds, parseDuration } from '../lib/duration.js';
import { parseTimestamp } from '../lib/timestamp.js';
import { PROBLEMS } from './problem.js';

/** A map without other keys. The "message" of an unknown key is the list of the known ones, for a hint. */
export const map = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? Object.keys(shape).join(' ') : undefined,
  });

/** Becomes milliseconds. */
export const duration = (bounds: DurationBounds) =>
  z
    .string('expected a duration such as 250ms, 10s, 5m, 1h or 30d')
    .meta({ pattern: DURATION_PATTERN })
    .transform((text, context) => {
      const parsed = parseDuration(text, bounds);
      if (parsed.ok) return parsed.ms;
      context.addIssue({
        code: 'custom',
        message: `expected ${parsed.expected}`,
        params: { id: PROBLEMS.duration },
      });
      return z.NEVER;
    });

/** Becomes milliseconds since the epoch. Of RFC 3339, with an offset: a local time would mean another moment on each host. */
export const timestamp = z
  .string('expected a time such as 2026-01-31T18:00:00Z')
  .transform((text, context) => {
    const ms = parseTimestamp(text);
    if (ms !== null) return ms;
    context.addIssue({
      code: 'custom',
      message: 'expected a time with an offset, such as 2026-01-31T18:00:00Z',
      params: { id: PROBLEMS.timestamp },
    });
    return z.NEVER;
  });
