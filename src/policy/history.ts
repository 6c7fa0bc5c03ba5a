import type { EventType } from '../event/event-type.js';
import { ageMs, type Moment } from '../lib/clock.js';

/**
 * When events of each type happened to one VM, oldest first: what `vm.count` counts. It is part of the VM's own row, so
 * that neither a restart of vmwarden nor the journal's retention loses it.
 */
export type History = Readonly<Partial<Record<EventType, readonly Stretch[]>>>;

/** Events of one boot of the host while its two clocks stood at one distance, to the second. */
export interface Stretch {
  readonly boot: string;
  /** Wall clock minus monotonic clock, milliseconds. */
  readonly offsetMs: number;
  /** Monotonic, whole milliseconds, ascending. */
  readonly at: readonly number[];
}

/** Events of one type that are kept; a count is never more. */
export const MAX_COUNTED = 200;

const SAME_OFFSET_MS = 1_000;

/** Adds events of one moment, and drops the oldest above the bound. */
export const remember = (
  history: History,
  type: EventType,
  now: Moment,
  count: number,
): History => {
  const stretches = history[type] ?? [];
  const monoMs = Math.floor(now.monoMs);
  const offsetMs = Math.round(now.wallMs - monoMs);
  const fresh = new Array<number>(Math.min(count, MAX_COUNTED)).fill(monoMs);
  const last = stretches.at(-1);
  const continues =
    last !== undefined &&
    last.boot === now.hostBootId &&
    Math.abs(last.offsetMs - offsetMs) < SAME_OFFSET_MS &&
    (last.at.at(-1) ?? 0) <= monoMs;
  const next = continues
    ? [...stretches.slice(0, -1), { ...last, at: [...last.at, ...fresh] }]
    : [...stretches, { boot: now.hostBootId, offsetMs, at: fresh }];
  return { ...history, [type]: bounded(next) };
};

const bounded = (stretches: readonly Stretch[]): readonly Stretch[] => {
  let excess = stretches.reduce((sum, { at }) => sum + at.length, 0) - MAX_COUNTED;
  if (excess <= 0) return stretches;
  return stretches.flatMap((stretch) => {
    if (excess <= 0) return [stretch];
    const dropped = Math.min(excess, stretch.at.length);
    excess -= dropped;
    return dropped === stretch.at.length ? [] : [{ ...stretch, at: stretch.at.slice(dropped) }];
  });
};

/**
 * Events of the type that are younger than `withinMs`; ages as everywhere (`ageMs`). Within the host's present boot it is
 * a search, so a long history costs no more than a short one.
 */
export const countWithin = (
  history: History,
  type: EventType,
  withinMs: number,
  now: Moment,
): number => {
  let count = 0;
  for (const { boot, offsetMs, at } of history[type] ?? []) {
    if (boot === now.hostBootId) {
      count += at.length - firstYounger(at, now.monoMs - withinMs);
    } else {
      for (const monoMs of at) {
        const then = { wallMs: monoMs + offsetMs, monoMs, hostBootId: boot };
        if (ageMs(then, now) < withinMs) count += 1;
      }
    }
  }
  return count;
};

/** Index of the first moment after `limit`. */
const firstYounger = (at: readonly number[], limit: number): number => {
  let low = 0;
  let high = at.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((at[middle] ?? 0) > limit) high = middle;
    else low = middle + 1;
  }
  return low;
};
