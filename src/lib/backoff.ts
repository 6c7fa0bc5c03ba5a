/**
 * Wait before the n-th retry (from 1), in milliseconds: doubling from `baseMs` to `maxMs`, of which a random half
 * is taken off, so that many that failed together don't come back together.
 */
export const backoffMs = (
  attempt: number,
  baseMs: number,
  maxMs: number,
  random: () => number = Math.random,
): number => Math.min(maxMs, baseMs * 2 ** Math.min(attempt - 1, 30)) * (0.5 + random() / 2);
