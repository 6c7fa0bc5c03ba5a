import type { EventType } from '../../event/event-type.js';
import type { Initiator } from '../../event/report.js';
import type { AgentEvent, Guest } from '../attach.js';
import type { GuestState, Inspection, LastSeen } from '../driver.js';

/** What is known of the guest, from all that its agents have said. */
export interface View extends Guest {
  /** Boots that this driver has seen since it was made; the agent's own count is `guest.boots`. */
  readonly seenBoots: number;
  /** The guest has run in this process. */
  readonly hasRun: boolean;
  /** What stopped the guest, if it is stopped, was told by an event. */
  readonly stopTold: boolean;
  /** The agent's count of boots up to which something explained them: an event, or a step of ours. */
  readonly explained: number;
}

type Taken = Extract<AgentEvent, { readonly refused: null }>;

/** A guest that was stopped, and in the same way is stopped now, has not booted by itself meanwhile. */
const STOPPED: ReadonlySet<GuestState> = new Set([
  'paused',
  'panicked',
  'shutdown',
  'watchdog',
  'error',
]);
const HAS_RUN: ReadonlySet<GuestState> = new Set([...STOPPED, 'running', 'suspended']);

export interface Meeting {
  readonly view: View;
  /** The guest can be shown not to have booted since it was last seen. */
  readonly continuous: boolean;
}

/** Compares what an agent says at first with what was known before, in this life (`former`) or another. Pure. */
export const meet = (former: View | null, guest: Guest, lastSeen: LastSeen | null): Meeting => {
  if (former !== null) {
    const { view, booted } = follow(former, guest);
    return { view, continuous: !booted };
  }
  const known = lastSeen?.bootId === guest.bootId ? lastSeen.state : null;
  // Stopped before and running now: somebody started it again, which counts as a boot that was not seen.
  const restarted = known !== null && STOPPED.has(known) && guest.state === 'running';
  const same = known === guest.state;
  return {
    view: {
      ...guest,
      seenBoots: restarted ? 2 : 1,
      hasRun: HAS_RUN.has(guest.state) || (known !== null && HAS_RUN.has(known)),
      stopTold: same,
      explained: guest.boots,
    },
    continuous: same && (STOPPED.has(guest.state) || guest.state === 'prelaunch'),
  };
};

/** The guest as it is told now. `booted`: it has booted since, and nothing told of it. Pure. */
export const follow = (
  view: View,
  guest: Guest,
): { readonly view: View; readonly booted: boolean } => {
  const same = guest.bootId === view.bootId;
  // A count that goes back is no count: take it for a boot, so that nothing is done twice.
  const gained = same ? countOf(guest.boots - view.boots) : 1;
  const boots = gained > 0;
  const moved = boots || guest.state === 'running' || guest.state === 'suspended';
  return {
    view: {
      ...guest,
      seenBoots: view.seenBoots + gained,
      hasRun: HAS_RUN.has(guest.state) || (same && view.hasRun),
      stopTold: view.stopTold && !moved && (guest.state !== 'exited' || view.state === 'exited'),
      explained: same ? Math.max(view.explained, boots ? guest.boots : 0) : guest.boots,
    },
    booted: boots && !(same && guest.boots <= view.explained),
  };
};

const countOf = (difference: number): number => (difference < 0 ? 1 : difference);

/** All boots up to `boots` come from a step of ours. */
export const explain = (view: View, boots: number): View => ({
  ...view,
  explained: Math.max(view.explained, boots),
});

/** Where an event stands in the guest's life. */
export const placeOf = (
  view: View,
  { bootId, boots }: Pick<Taken, 'bootId' | 'boots'>,
): { readonly boots: number; readonly earlier: boolean } => {
  if (bootId !== view.bootId) return { boots: 0, earlier: true };
  const since = view.boots - boots;
  return { boots: Math.max(0, view.seenBoots - Math.max(0, since)), earlier: since > 0 };
};

/** Types after which a stopped guest needs no explanation. */
const STOPS: ReadonlySet<EventType> = new Set([
  'SHUTDOWN',
  'RESET',
  'CRASH',
  'SEV_TERM',
  'TDX_FATAL',
  'WATCHDOG',
  'VMM_ERROR',
]);

/** What an event of the present boot says of the guest. Pure. */
export const afterEvent = (view: View, { event, boots, state }: Taken): View => ({
  ...view,
  ...(state !== null && { state, raw: state === view.state ? view.raw : state }),
  stopTold:
    event.type === 'VMM_EXITED' ||
    (state === 'exited' ? false : view.stopTold || STOPS.has(event.type)),
  explained: event.type === 'RESET' ? Math.max(view.explained, boots + 1) : view.explained,
});

export interface Told {
  readonly type: EventType;
  readonly initiator: Initiator;
}

/** The event that a stopped guest's state stands for, where none was told. */
export const unexplained = ({ state, stopTold }: View): Told | null => {
  if (stopTold) return null;
  switch (state) {
    case 'panicked':
      return { type: 'CRASH', initiator: 'guest' };
    case 'watchdog':
      return { type: 'WATCHDOG', initiator: 'guest' };
    case 'shutdown':
      return { type: 'SHUTDOWN', initiator: 'unknown' };
    case 'error':
      return { type: 'VMM_ERROR', initiator: 'unknown' };
    case 'exited':
      return { type: 'VMM_EXITED', initiator: 'unknown' };
    case 'running':
    case 'paused':
    case 'suspended':
    case 'prelaunch':
    case 'migrating':
    case 'unknown':
      return null;
  }
};

export const inspectionOf = ({ state, raw, bootId, seenBoots }: View): Inspection => ({
  state,
  raw,
  bootId,
  boots: seenBoots,
});
