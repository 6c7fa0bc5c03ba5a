import type { GuestState, Outcome } from '../vmm/driver.js';
import type { Admission, Arrival } from './admit.js';
import type { Incident } from './vm-row.js';

/** Stopped, and so in no state to do what is awaited. */
const STOPPED: ReadonlySet<GuestState> = new Set([
  'panicked',
  'shutdown',
  'watchdog',
  'error',
  'exited',
]);

/** The incident waits for an event: what it runs is an `await` that has begun. */
export const isAwaiting = ({ plan, index, step }: Incident): boolean =>
  step.kind === 'started' && plan[index]?.verb === 'await';

/** What an event means to an incident that awaits one; null: it goes on waiting. Pure. */
export const awaited = (
  incident: Incident,
  { facts, disposition }: Pick<Admission, 'facts' | 'disposition'>,
  arrival: Arrival,
): Outcome | null => {
  const step = incident.plan[incident.index];
  if (step?.verb !== 'await' || incident.step.kind !== 'started') return null;
  if (disposition === 'olderBoot' || disposition === 'burst') return null;
  const state = arrival.driver?.state ?? null;
  // Of which boot it is has to be shown: a stray one must not keep a dead guest from its answer.
  if (facts.event.type === step.event && !facts.unstated) {
    return { kind: 'applied', proof: [`${step.event} seen`], state: state ?? 'unknown' };
  }
  return state === null ? null : stoppedWaiting(state, state);
};

export const stoppedWaiting = (state: GuestState, raw: string): Outcome | null =>
  STOPPED.has(state)
    ? {
        kind: 'failed',
        reason: 'GUEST_STOPPED',
        message: `the guest is ${raw}: what is awaited can't come any more`,
        proof: [],
      }
    : null;

export const notSeen = (event: string): Outcome => ({
  kind: 'failed',
  reason: 'NOT_SEEN',
  message: `no ${event} came in time`,
  proof: [],
});
