import type { Sequence } from '../journal/journal.js';
import type { Verb } from '../vmm/driver.js';

/**
 * What operators may ask for. Each request is journaled with its actor and reason, in the commit that it takes
 * effect with, and is known again for 24 h by its request id.
 *
 * Faults of all: VM_UNKNOWN (NOT_FOUND), REQUEST_CONFLICT (ALREADY_EXISTS: the id came before with another request),
 * STOPPING (UNAVAILABLE), those of the journal.
 */
export interface Operators {
  /**
   * Begins one act; resolves when its intent is durable. Faults: VM_BUSY (FAILED_PRECONDITION: something is open),
   * VERB_UNSUPPORTED (FAILED_PRECONDITION), VM_OUT_OF_REACH (UNAVAILABLE).
   */
  act(vm: string, act: ActAsked, by: By): Promise<Asked>;

  /**
   * Calls off what is open; `incident` other than empty: only that. Faults: NOTHING_TO_CANCEL, OTHER_INCIDENT
   * (FAILED_PRECONDITION).
   */
  cancel(vm: string, incident: string, by: By): Promise<Asked>;

  /** Faults: VM_HELD (FAILED_PRECONDITION). */
  hold(vm: string, by: By): Promise<Asked>;

  /** Ends a hold; a guest that is found down is put to the policy in the same commit. Faults: VM_NOT_HELD. */
  release(vm: string, by: By): Promise<Asked>;

  /** Empty: all budgets. Faults: BUDGET_UNKNOWN (NOT_FOUND). */
  resetBudget(vm: string, budget: string, by: By): Promise<Asked>;

  /** null: the host is not held. */
  hostHold(): Hold | null;

  /** Faults: HOST_HELD (FAILED_PRECONDITION). */
  holdHost(by: By): Promise<Asked>;

  /** Faults: HOST_NOT_HELD (FAILED_PRECONDITION). */
  releaseHost(by: By): Promise<Asked>;
}

export interface By {
  readonly actor: string;
  readonly reason: string;
  /** Empty: not known again. */
  readonly requestId: string;
}

export interface Asked {
  /** Of the operator's record. */
  readonly sequence: Sequence;
  /** What it opened or ended; empty: none. */
  readonly incident: string;
  /** What it came to, in a sentence; empty: the records tell. */
  readonly detail: string;
  readonly repeat: boolean;
}

/** What an operator can ask for. */
export const ACT_VERBS = [
  'restart',
  'restartProcess',
  'dump',
  'powerOff',
  'pause',
  'resume',
  'nmi',
] as const satisfies readonly Verb[];
export type ActVerb = (typeof ACT_VERBS)[number];

export interface ActAsked {
  readonly verb: ActVerb;
  readonly timeoutMs: number;
}

export interface Hold {
  readonly atMs: number;
  /** Empty: a rule's own. */
  readonly actor: string;
  readonly reason: string;
}
