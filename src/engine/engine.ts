import type { EventReport } from '../event/report.js';
import type { SystemEvent } from '../event/system-event.js';
import type { Sequence } from '../journal/journal.js';
import type { Limit } from '../policy/policy.js';
import type { Hold, Operators } from './operators.js';

/**
 * The one way through: admit → decide → journal → act → outcome. What servers and commands may ask of it.
 *
 * Faults of `report`: REQUEST_CONFLICT (ALREADY_EXISTS: the key is known with other content), TOO_MANY_VMS
 * (RESOURCE_EXHAUSTED), UID_MISMATCH (FAILED_PRECONDITION), those of the journal, STOPPING (UNAVAILABLE).
 */
export interface Engine {
  /** Resolves when the event is durable in the journal. A repeat gets the first answer. */
  report(report: EventReport): Promise<Receipt>;

  /** All VMs, in order of id. */
  vms(): readonly VmView[];

  /** Faults: VM_UNKNOWN (NOT_FOUND). */
  vm(id: string): VmView;

  /** How far a budget of the VM is used up now; null: the policy has no such budget. Faults: VM_UNKNOWN. */
  outlook(vm: string, budget: string): Outlook | null;

  /** By the engine's clock, milliseconds since the epoch. */
  nowMs(): number;

  readonly operators: Operators;
}

/** What became of an event when it was admitted; see Disposition in record.proto. */
export type Disposition = 'decided' | 'joined' | 'burst' | 'olderBoot';

export interface Receipt {
  readonly sequence: Sequence;
  readonly event: SystemEvent;
  readonly disposition: Disposition;
  readonly repeat: boolean;
}

export interface VmView {
  readonly id: string;
  readonly uid: string;
  readonly driver: string;
  readonly contact: 'connected' | 'lost' | 'none';
  /** The VMM's own word for the guest's state. */
  readonly state: string;
  readonly bootId: string;
  readonly bootEpoch: number;
  /** `down`: the guest is stopped and nothing more will be done about it. */
  readonly phase: 'well' | 'waiting' | 'acting' | 'held' | 'down';
  /** Why, in a sentence; empty when well. */
  readonly reason: string;
  /** Empty: none open. */
  readonly incident: string;
  readonly budgets: readonly {
    readonly name: string;
    readonly used: number;
    readonly limit: Limit;
  }[];
  /** Milliseconds since the epoch when the waiting step starts; null: none waits. */
  readonly nextAttemptMs: number | null;
  readonly warnings: readonly string[];
  /** null: not held. */
  readonly hold: Hold | null;
}

/** What a further attempt of a budget would meet. */
export interface Outlook {
  /** Milliseconds since the epoch before which no attempt is left; null: one is. */
  readonly freeAtMs: number | null;
  /** The least that a further attempt would wait, in milliseconds. */
  readonly delayMs: number;
}
