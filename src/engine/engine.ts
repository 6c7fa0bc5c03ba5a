import type { EventReport } from '../event/report.js';
import type { SystemEvent } from '../event/system-event.js';
import type { Sequence } from '../journal/journal.js';
import type { Limit } from '../policy/policy.js';

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

  /** Ends a hold. Faults: VM_UNKNOWN (NOT_FOUND), VM_NOT_HELD (FAILED_PRECONDITION). */
  release(vm: string, actor: string, reason: string): Promise<VmView>;
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
}
