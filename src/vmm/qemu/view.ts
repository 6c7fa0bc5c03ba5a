import type { EventType } from '../../event/event-type.js';
import type { Initiator } from '../../event/report.js';
import type { VmmEventFacts } from '../../event/vmm-event.js';
import type { GuestState } from '../driver.js';
import type { Migration } from './commands.js';

/** What one connection has seen of the guest so far. */
export interface View {
  readonly state: GuestState;
  /** QEMU's RunState, as far as events tell. */
  readonly raw: string;
  readonly boots: number;
  /** The guest has run in this process: `prelaunch` then means reset and not continued. */
  readonly hasRun: boolean;
  readonly migration: Migration;
  /** After it was migrated away it was seen running or stopped here: somebody took it back. */
  readonly takenBack: boolean;
  /** `system_reset`s of our own that no RESET has answered yet. */
  readonly ownResets: number;
  /** `quit` was sent by us. */
  readonly ownQuit: boolean;
  /** A dump is under way: the STOP and RESUME around it are no news. */
  readonly dumping: boolean;
  /** Reason of the last SHUTDOWN that no boot followed. */
  readonly shutdown: { readonly reason: string; readonly own: boolean } | null;
  /** QEMU is about to end by itself, unless a STOP says that it stays. */
  readonly ending: boolean;
  /** When the last STOP came, by QEMU's clock. */
  readonly stoppedAtMs: number | null;
  /** When the watchdog's stop was told by its state: QEMU may hold back its event for a second. */
  readonly watchdogToldAtMs: number | null;
}

/** Something to be told as an event of the guest. */
export interface Told {
  readonly type: EventType;
  readonly initiator: Initiator;
  readonly facts: VmmEventFacts;
  /** The guest's state after it; null: it does not tell. */
  readonly state: GuestState | null;
  readonly occurredAtMs: number | null;
}

export const NO_MIGRATION: Migration = { status: 'none', source: false };

/** A connection of which nothing has been seen yet. */
export const freshView = (boots: number): View => ({
  state: 'unknown',
  raw: 'unknown',
  boots,
  hasRun: false,
  migration: NO_MIGRATION,
  takenBack: false,
  ownResets: 0,
  ownQuit: false,
  dumping: false,
  shutdown: null,
  ending: false,
  stoppedAtMs: null,
  watchdogToldAtMs: null,
});
