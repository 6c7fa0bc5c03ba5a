import type { Anomaly } from '../event/anomaly.js';
import type { EventType } from '../event/event-type.js';
import type { Initiator, Origin } from '../event/report.js';
import type { SystemEvent } from '../event/system-event.js';
import type { Moment } from '../lib/clock.js';
import type { History } from './history.js';
import type { Selector, VmIdentity } from './selector.js';

/**
 * What an operator wrote, parsed and checked: plain data, but for the compiled conditions. Deciding is pure:
 * `decide(policy, question) → Decision`; the same function serves live traffic and the tools. Everything it looks at is in
 * the question, and what of that isn't in the journal before a decision is recorded with it (`DecisionInputs`).
 */
export interface Policy {
  readonly name: string;
  /** SHA-256 of the file's bytes, hex; empty for the built-in observe policy. */
  readonly hash: string;
  readonly mode: Mode;
  readonly safety: Safety;
  readonly maintenance: readonly Maintenance[];
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
  /** null: no guard. */
  readonly storm: Storm | null;
  /** Steps of this kind that may be under way on the host at once; null: any number. */
  readonly concurrent: { readonly restarts: number | null; readonly dumps: number | null };
}

/** So many distinct VMs dying within that time hold restarts back; see storm.ts. */
export interface Storm {
  /** At least this many VMs, and, where given, this share of the host's. */
  readonly vms: number;
  readonly percent: number | null;
  readonly withinMs: number;
  /** It is over after this long without a death. */
  readonly quietMs: number;
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
  /** null: any VM. */
  readonly vms: Selector | null;
  /** Asked last; null: holds. */
  readonly when: Condition | null;
  readonly do: readonly Step[];
  readonly budget: string | null;
  /** Answers when the budget is used up; empty: notify. */
  readonly exhausted: readonly Step[];
}

/** A step of a plan. All but `notify`, `hold` and `await` are verbs of a driver. */
export type Step =
  | (StepOptions & {
      readonly verb: 'dump' | 'powerOff' | 'pause' | 'resume' | 'nmi' | 'hold' | 'notify';
    })
  | (StepOptions & { readonly verb: 'restart'; readonly in: 'place' | 'process' })
  /** Waits: the event within `timeoutMs` shows that the guest got over it by itself, else `otherwise` is the plan. */
  | (StepOptions & {
      readonly verb: 'await';
      readonly event: EventType;
      readonly otherwise: readonly Step[];
    });

export interface StepOptions {
  /** Of each try. Defaults: dump 10 min, powerOff 60 s, others 30 s; await has none. */
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
  /** The guest has booted since, while the event waited for an incident to close. Default: false. */
  readonly bootedSince?: boolean;
  /** Attempts of this VM by budget name, oldest first. */
  readonly attempts: Attempts;
  readonly now: Moment;
  readonly vm: VmIdentity;
  /** What happened to this VM, the event included. */
  readonly history: History;
  readonly host: HostFacts;
}

/** What a decision may look at beyond its VM. */
export interface HostFacts {
  readonly name: string;
  /** VMs that this host knows. */
  readonly vms: number;
  /** Distinct VMs that died within `safety.storm.within`, this event included; 0 without a storm guard. */
  readonly dying: number;
  readonly storm: StormState['kind'];
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
  /** Milliseconds to wait before the first step; where that is an `await`, before the first one behind it. */
  readonly delayMs: number;
  /** CONDITION_ERROR: why the rule's condition failed, so that nothing is done. null: none did. */
  readonly conditionError: string | null;
}

/** What the budget says: uses of the tightest limit's window. */
export interface BudgetCharge {
  readonly name: string;
  readonly before: number;
  readonly after: number;
  readonly limit: Limit;
  readonly exhausted: boolean;
}

/** Somebody works on these VMs: decided and recorded, nothing done. */
export interface Maintenance {
  readonly reason: string;
  /** Milliseconds since the epoch when it ends by itself; null: when it is taken out of the file. */
  readonly untilMs: number | null;
  /** null: all VMs. */
  readonly vms: Selector | null;
}

/**
 * `when` of a rule: a CEL expression over `event`, `vm` and `host`, compiled and type-checked at load.
 */
export interface Condition {
  readonly text: string;
  /** Never throws. */
  test(question: Question): ConditionResult;
}

export type ConditionResult =
  | { readonly ok: true; readonly holds: boolean }
  | { readonly ok: false; readonly why: string };

/**
 * The storm guard: when many distinct VMs die at once, the host is the suspect, and restarting them all would hide that or
 * make it worse. While it is on, restarts wait; everything else goes on. It ends by itself.
 */
export type StormState =
  | { readonly kind: 'calm' }
  /** Restarts wait. `lastAt`: the latest death. */
  | { readonly kind: 'on'; readonly since: Moment; readonly lastAt: Moment }
  /** Over; the restarts that waited go one by one. */
  | { readonly kind: 'draining'; readonly since: Moment; readonly lastReleaseAt: Moment | null };
