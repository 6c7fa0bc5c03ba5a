import type { Anomaly } from '../event/anomaly.js';
import type { EventType } from '../event/event-type.js';
import type { Initiator, Origin } from '../event/report.js';
import type { SystemEvent } from '../event/system-event.js';
import type { Moment } from '../lib/clock.js';

/**
 * What an operator wrote, parsed and checked: plain data, no functions. Deciding is pure:
 * `decide(policy, question) → Decision`; the same function serves live traffic and the tools.
 */
export interface Policy {
  readonly name: string;
  /** SHA-256 of the file's bytes, hex; empty for the built-in observe policy. */
  readonly hash: string;
  readonly mode: Mode;
  readonly safety: Safety;
  readonly budgets: Readonly<Record<string, Budget>>;
  readonly rules: readonly Rule[];
  readonly otherwise: readonly Step[];
}

export type Mode = 'observe' | 'enforce';

export interface Safety {
  /** An event older than this when journaled is recorded, not acted on. Default 5 min. */
  readonly maxEventAgeMs: number;
  /** A step that waits longer than this is cancelled. Default 1 h. */
  readonly maxWaitMs: number;
}

export interface Budget {
  /** All of them must hold; at least one. */
  readonly limits: readonly Limit[];
  /** After this long without an attempt the delay starts over; the windows don't. Default 10 min. */
  readonly stableAfterMs: number;
  readonly delay: Delay;
}

export interface Limit {
  readonly attempts: number;
  readonly withinMs: number;
}

/** Wait before the n-th attempt: 0 for the first, then base × factor^(n-2), at most max, ± jitter (0 to 1) of itself. */
export interface Delay {
  readonly baseMs: number;
  readonly factor: number;
  readonly maxMs: number;
  readonly jitter: number;
}

export interface Rule {
  readonly name: string;
  /** Line in the file, from 1. */
  readonly line: number;
  readonly on: readonly EventType[];
  /** Default guest and unknown. */
  readonly initiator: readonly Initiator[];
  /** null: any. */
  readonly origin: readonly Origin[] | null;
  /** Matches events that carry at least one of these; null: any. */
  readonly anomaly: readonly Anomaly[] | null;
  readonly do: readonly Step[];
  readonly budget: string | null;
  /** Answers when the budget is used up; empty: notify. */
  readonly exhausted: readonly Step[];
}

/** A step of a plan. All but `notify` and `hold` are verbs of a driver. */
export interface Step {
  readonly verb: 'restart' | 'dump' | 'powerOff' | 'pause' | 'resume' | 'hold' | 'notify';
  /** Defaults: dump 10 min, powerOff 60 s, others 30 s. */
  readonly timeoutMs: number;
  /** Further tries after a failed one. Default 0. */
  readonly retries: number;
  /** Default: dump continues, the others stop. */
  readonly onFailure: 'continue' | 'stop';
}

/** Everything that a decision may look at. */
export interface Question {
  readonly event: SystemEvent;
  readonly origin: Origin;
  readonly initiator: Initiator;
  /** Age of the event when it is journaled, milliseconds; 0 for a state that a driver sees now. */
  readonly ageMs: number;
  /** The incident this would open; jitter is a hash of it and the attempt's number. */
  readonly incident: string;
  readonly held: boolean;
  /** All VMs of the host are. Default: no. */
  readonly hostHeld?: boolean;
  /** Attempts of this VM by budget name, oldest first. */
  readonly attempts: Attempts;
  readonly now: Moment;
}

export type Attempts = Readonly<Record<string, readonly Moment[]>>;

export interface Decision {
  readonly mode: Mode;
  readonly policyHash: string;
  /** null: `otherwise`. */
  readonly rule: { readonly name: string; readonly line: number } | null;
  /** Whole sentences for a person at 3 a.m. */
  readonly reasons: readonly string[];
  /** What is to be done (in observe mode: what would be). Without `notify`, so empty when nothing acts. */
  readonly plan: readonly Step[];
  /** False: record only (observe mode, held, too old, untrusted, nothing planned). */
  readonly act: boolean;
  readonly budget: BudgetCharge | null;
  /** Milliseconds to wait before the first step. */
  readonly delayMs: number;
}

/** What the budget says: uses of the tightest limit's window. */
export interface BudgetCharge {
  readonly name: string;
  readonly before: number;
  readonly after: number;
  readonly limit: Limit;
  readonly exhausted: boolean;
}
