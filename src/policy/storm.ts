import type { EventType } from '../event/event-type.js';
import type { Initiator } from '../event/report.js';
import { ageMs, carried, type Moment } from '../lib/clock.js';
import type { Storm, StormState } from './policy.js';

export const CALM: StormState = { kind: 'calm' };

/** One held restart in this time once the storm is over. */
export const RELEASE_EVERY_MS = 2_000;

const DEATHS: ReadonlySet<EventType> = new Set<EventType>([
  'CRASH',
  'CRASH_LOADED',
  'WATCHDOG',
  'SEV_TERM',
  'TDX_FATAL',
  'VMM_ERROR',
  'VMM_EXITED',
]);

/** What counts as the death of a VM that nobody asked for. */
export const isDeath = (type: EventType, initiator: Initiator): boolean =>
  DEATHS.has(type) && (initiator === 'guest' || initiator === 'unknown');

/** Distinct VMs that must die within `storm.within`; of a host's `vms`. Never less than two. */
export const stormThreshold = (storm: Storm, vms: number): number =>
  Math.max(2, storm.vms, storm.percent === null ? 0 : Math.ceil((storm.percent / 100) * vms));

/** After a death, `dying` being the distinct VMs that died within `storm.within`, this one included. */
export const afterDeath = (
  state: StormState,
  storm: Storm | null,
  host: { readonly vms: number; readonly dying: number },
  now: Moment,
): StormState => {
  const current = settle(state, storm, now);
  if (storm === null) return current;
  if (current.kind === 'on') return { ...current, lastAt: now };
  return host.dying >= stormThreshold(storm, host.vms)
    ? { kind: 'on', since: now, lastAt: now }
    : current;
};

/** As time goes by: a storm is over when it was quiet for long enough, or when the policy has no guard any more. */
export const settle = (state: StormState, storm: Storm | null, now: Moment): StormState => {
  if (state.kind !== 'on') return state;
  const over = storm === null || ageMs(state.lastAt, now) >= storm.quietMs;
  return over ? { kind: 'draining', since: state.since, lastReleaseAt: null } : state;
};

/** As vmwarden finds it at a start: one of an earlier boot of the host ends by the clock of this one. */
export const carriedOver = (state: StormState, now: Moment): StormState => {
  switch (state.kind) {
    case 'calm':
      return state;
    case 'on':
      return ofThisBoot(state.lastAt, now)
        ? state
        : { ...state, lastAt: carried(state.lastAt, now) };
    case 'draining':
      return state.lastReleaseAt === null || ofThisBoot(state.lastReleaseAt, now)
        ? state
        : { ...state, lastReleaseAt: carried(state.lastReleaseAt, now) };
  }
};

const ofThisBoot = (then: Moment, now: Moment): boolean => then.hostBootId === now.hostBootId;

/** Milliseconds until a held restart may go; null: the storm is still on. */
export const releaseInMs = (state: StormState, now: Moment): number | null => {
  switch (state.kind) {
    case 'calm':
      return 0;
    case 'on':
      return null;
    case 'draining':
      return state.lastReleaseAt === null
        ? 0
        : Math.max(0, RELEASE_EVERY_MS - ageMs(state.lastReleaseAt, now));
  }
};
