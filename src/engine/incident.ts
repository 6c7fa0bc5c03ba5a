import type { EventType } from '../event/event-type.js';
import type { Origin } from '../event/report.js';
import { ageMs, type Moment } from '../lib/clock.js';
import type { GuestState } from '../vmm/driver.js';
import type { Answered } from './vm-row.js';

/** For this long after an answer other origins may still tell of the same thing. */
export const JOIN_AFTER_MS = 5_000;

/** Types that are one death seen from different sides. */
const SAME_DEATH: readonly (readonly EventType[])[] = [
  ['CRASH', 'VMM_ERROR', 'VMM_EXITED'],
  ['SEV_TERM', 'VMM_ERROR', 'VMM_EXITED'],
  ['TDX_FATAL', 'VMM_ERROR', 'VMM_EXITED'],
  ['SHUTDOWN', 'VMM_EXITED'],
];

export const sameDeath = (a: EventType, b: EventType): boolean =>
  a === b || SAME_DEATH.some((types) => types.includes(a) && types.includes(b));

/**
 * Whether an event tells of what was answered a moment ago, and so needs no answer of its own: when that answer was
 * carried out, or when it is the end of a process whose guest had shut down. An answer that came to nothing
 * (only told, called off, failed) keeps no other from being asked for.
 */
export const tellsOf = (
  answered: Answered,
  type: EventType,
  origin: Origin,
  now: Moment,
): boolean =>
  ageMs(answered.at, now) <= JOIN_AFTER_MS &&
  sameDeath(answered.type, type) &&
  (answered.done
    ? answered.type !== type || answered.origin !== origin
    : answered.type === 'SHUTDOWN' && type === 'VMM_EXITED');

/** Whether a guest found in `state` bears out an event that does not say of which boot it is. */
export const speaksOf = (type: EventType, state: GuestState): boolean => {
  switch (type) {
    case 'CRASH':
    case 'SEV_TERM':
    case 'TDX_FATAL':
    case 'VMM_ERROR':
      return state === 'panicked' || state === 'error' || state === 'exited';
    case 'SHUTDOWN':
      return state === 'shutdown' || state === 'exited';
    case 'WATCHDOG':
      return state === 'watchdog' || state === 'panicked';
    case 'VMM_EXITED':
      return state === 'exited';
    case 'SUSPEND':
      return state === 'suspended';
    case 'RESET':
    case 'WAKEUP':
    case 'CRASH_LOADED':
      return state === 'running';
    case 'UNKNOWN':
      return false;
  }
};
