import { ageMs, type Moment } from '../lib/clock.js';
import { jitter } from '../lib/jitter.js';
import { MAX_ATTEMPTS, MAX_WINDOW_MS } from './document.js';
import type { Attempts, Budget, Limit } from './policy.js';

/**
 * How a budget counts. An attempt is inside a window while it is younger than the window is wide, so any half-open
 * span of that width holds at most `limit.attempts` of them; all limits must hold. Ages are `ageMs`: within one
 * host boot a stepped wall clock changes nothing; across boots one that went back makes attempts count for longer.
 */
export interface Usage {
  /** The limit with the fewest attempts left; of equals, the one that stays so for longest. */
  readonly limit: Limit;
  readonly used: number;
  readonly exhausted: boolean;
  /** Milliseconds until all limits allow one more attempt; 0: now. */
  readonly freeInMs: number;
}

export const usage = (
  limits: readonly Limit[],
  attempts: readonly Moment[],
  now: Moment,
): Usage | null =>
  limits
    .map((limit) => limitUsage(limit, attempts, now))
    .reduce<Usage | null>(
      (tightest, next) => (tightest === null || isTighter(next, tightest) ? next : tightest),
      null,
    );

/** No attempt is left. */
export const exceeded = (
  limits: readonly Limit[],
  attempts: readonly Moment[],
  now: Moment,
): boolean => usage(limits, attempts, now)?.exhausted ?? false;

const limitUsage = (limit: Limit, attempts: readonly Moment[], now: Moment): Usage => {
  const ages = attempts.map((at) => ageMs(at, now)).filter((age) => age < limit.withinMs);
  const exhausted = ages.length >= limit.attempts;
  // Room comes when the youngest `attempts` are down to one fewer.
  const oldestThatCounts = ages.toSorted((a, b) => a - b)[limit.attempts - 1];
  const freeInMs = oldestThatCounts === undefined ? 0 : limit.withinMs - oldestThatCounts;
  return { limit, used: ages.length, exhausted, freeInMs };
};

const isTighter = (a: Usage, b: Usage): boolean => {
  const leftA = Math.max(0, a.limit.attempts - a.used);
  const leftB = Math.max(0, b.limit.attempts - b.used);
  if (leftA !== leftB) return leftA < leftB;
  if (a.freeInMs !== b.freeInMs) return a.freeInMs > b.freeInMs;
  return a.limit.withinMs > b.limit.withinMs;
};

/** How long the next attempt waits. */
export interface Wait {
  /** Which attempt of the streak it is, from 1. */
  readonly attempt: number;
  readonly delayMs: number;
}

/**
 * A streak is a run of attempts, each less than `stableAfter` behind the one before it; its first attempt is at
 * once. `seed` (the incident) makes the jitter: the same attempt always waits equally long.
 */
export const waitBefore = (
  budget: Budget,
  attempts: readonly Moment[],
  now: Moment,
  seed: string,
): Wait => {
  let streak = 0;
  let next = now;
  for (const at of relevant(budget, attempts, now).toReversed()) {
    if (ageMs(at, next) >= budget.stableAfterMs) break;
    streak += 1;
    next = at;
  }
  const attempt = streak + 1;
  if (attempt === 1) return { attempt, delayMs: 0 };
  const { baseMs, factor, maxMs, jitter: share } = budget.delay;
  const delayMs = Math.min(maxMs, baseMs * factor ** (attempt - 2));
  const sway = share * (2 * jitter(seed, attempt) - 1);
  return { attempt, delayMs: Math.round(delayMs * (1 + sway)) };
};

/**
 * Drops the attempts that no limit and no streak looks at any more: deciding with what is left is deciding with
 * all. Those of a budget that the policy doesn't define (any more) are kept for as long as the widest window
 * there can be, so that taking a budget out and putting it back gives nothing away.
 */
export const pruneAttempts = (
  budgets: Readonly<Record<string, Budget>>,
  attempts: Attempts,
  now: Moment,
): Attempts =>
  Object.fromEntries(
    Object.entries(attempts)
      .map(([name, list]) => [name, relevant(own(budgets, name), list, now)] as const)
      .filter(([, list]) => list.length > 0),
  );

const relevant = (
  budget: Budget | undefined,
  attempts: readonly Moment[],
  now: Moment,
): readonly Moment[] => {
  const widest =
    budget === undefined
      ? MAX_WINDOW_MS
      : Math.max(budget.stableAfterMs, ...budget.limits.map((limit) => limit.withinMs));
  return attempts.filter((at) => ageMs(at, now) < widest).slice(-MAX_ATTEMPTS);
};

/** Budget names are the operator's: `constructor` is one like any other. */
export const own = <Value>(
  record: Readonly<Record<string, Value>>,
  key: string,
): Value | undefined => (Object.hasOwn(record, key) ? record[key] : undefined);
