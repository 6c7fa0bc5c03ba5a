import type { EventType } from '../event/event-type.js';
import type { Initiator, Origin } from '../event/report.js';
import type { SystemEvent } from '../event/system-event.js';
import type { Sequence } from '../journal/journal.js';
import type { Moment } from '../lib/clock.js';
import type { History } from '../policy/history.js';
import type { Step } from '../policy/policy.js';
import type { GuestState } from '../vmm/driver.js';

/**
 * What the engine knows of one VM, kept as a row of the journal in the commit that changes it, and never rebuilt
 * by replay. Immutable: a change is a new row.
 */
export interface VmRow {
  readonly format: 1;
  readonly id: string;
  readonly uid: string;
  /** vmwarden's own count of the VM's boots, from 1. */
  readonly epoch: number;
  /** What the driver last told: the boot id of its source and the guest's state. null: never seen. */
  readonly seen: {
    readonly bootId: string;
    readonly state: GuestState;
    readonly raw: string;
  } | null;
  /** Boot ids by reporting source, latest last, with the epoch that each was mapped to; bounded. */
  readonly boots: Readonly<Record<string, readonly BootMapping[]>>;
  /** The first RESET of the burst that a further one may still join. */
  readonly burst: { readonly at: Moment; readonly initiator: Initiator } | null;
  readonly incident: Incident | null;
  /** The latest answered event, for what other origins still have to say about it. */
  readonly answered: Answered | null;
  /** Events of later boots than the open incident's, oldest first and bounded; decided when that closes. */
  readonly pending: readonly Facts[];
  /** Budget attempts by budget name, oldest first. */
  readonly attempts: Readonly<Record<string, readonly Moment[]>>;
  /** What guest or nobody known caused, as conditions count it; bounded. */
  readonly history: History;
  readonly hold: {
    readonly at: Moment;
    readonly reason: string;
    /** Absent: a rule's own. */
    readonly actor?: string;
  } | null;
  /** How the last incident ended, in a sentence; empty: well. */
  readonly remark: string;
}

export interface BootMapping {
  readonly id: string;
  readonly epoch: number;
}

/** An event as the policy sees it, with its place in the journal and in the VM's life. */
export interface Facts {
  readonly sequence: Sequence;
  readonly event: SystemEvent;
  readonly origin: Origin;
  readonly initiator: Initiator;
  readonly epoch: number;
  readonly ageMs: number;
  /** Boots that the driver had seen; valid for `driverLife` only. null: the driver did not see it. */
  readonly boots: number | null;
  readonly driverLife: string;
  /** No boot id: acted on only if the VMM shows the state it speaks of. */
  readonly unstated: boolean;
}

/** A driver saw it in another process of vmwarden's: how often the guest has booted since, this one can't count. */
export const isOfEarlierLife = (facts: Facts, driverLife: string): boolean =>
  facts.driverLife !== '' && facts.driverLife !== driverLife;

/** From the first event that needs an answer until the VM is proven well, held or given up; one per VM at a time. */
export interface Incident {
  readonly id: string;
  readonly facts: Facts;
  readonly openedAt: Moment;
  readonly rule: string;
  /** Who asked for it; absent: the policy answered an event. */
  readonly operator?: { readonly actor: string; readonly reason: string };
  /** An operator ended it: a step under way comes to its end, and nothing more is done. */
  readonly calledOff?: {
    readonly actor: string;
    readonly reason: string;
    /** By a hold, and so only until the release; absent: for good. */
    readonly byHold?: true;
  };
  /** Charged when the plan's first intent is journaled; null: not charged for. */
  readonly budget: string | null;
  readonly plan: readonly Step[];
  readonly index: number;
  readonly step: StepPhase;
  /** Anything of the plan has reached the VMM, so that its charge can't be given back. */
  readonly ran: boolean;
  /** The budget was charged: with the first intent that does something, so not with an `await`. */
  readonly charged: boolean;
  /** What the budget wants waited before the first step that does something. */
  readonly delayMs: number;
  /** Why the step waits though its time has come; null: it doesn't. */
  readonly waitsFor: 'STORM' | 'CONCURRENT' | null;
  /** `maxWait` counts from here: when it opened, or when what it awaited did not come. */
  readonly waitingSince: Moment;
}

/** Names a begun step, each of its tries apart. */
export const intentOf = ({ id, index, step }: Incident): string => `${id}/${index}/${step.attempt}`;

export type StepPhase =
  /** Waits for its time (`notBefore`), for contact, or for a retry. */
  | {
      readonly kind: 'planned';
      readonly since: Moment;
      readonly waitMs: number;
      readonly attempt: number;
    }
  /** The intent is journaled; without an outcome it is inspected, never blindly run again. */
  | {
      readonly kind: 'started';
      readonly at: Moment;
      readonly attempt: number;
      /** The attempt of an earlier life that this one takes up again; absent: it is none. */
      readonly takesUp?: number;
      /** The boot id of the driver's source when it started: another VMM process cancels it. */
      readonly bootId: string;
    };

export interface Answered {
  readonly type: EventType;
  readonly origin: Origin;
  /** A plan was carried out: what else is told of the same death needs no answer of its own. */
  readonly done: boolean;
  readonly epoch: number;
  readonly at: Moment;
  readonly incident: string;
}

export const newVmRow = (id: string, uid: string): VmRow => ({
  format: 1,
  id,
  uid,
  epoch: 1,
  seen: null,
  boots: {},
  burst: null,
  incident: null,
  answered: null,
  pending: [],
  attempts: {},
  history: {},
  hold: null,
  remark: '',
});

/** The VM's row: a fresh one for a VM never seen, and for one whose uid says that it was made anew. */
export const rowOf = (id: string, row: VmRow | undefined, uid: string): VmRow => {
  if (row === undefined) return newVmRow(id, uid);
  if (uid === '' || row.uid === uid) return row;
  return row.uid === '' ? { ...row, uid } : newVmRow(id, uid);
};

export const VM_ROW_PREFIX = 'vm/';

export const vmRowKey = (id: string): string => `${VM_ROW_PREFIX}${id}`;

/** Only events hold 64-bit words: a replacer for the whole row would be called for each of its values. */
export const encodeVmRow = (row: VmRow): Uint8Array => {
  const { incident, pending } = row;
  const plain = {
    ...row,
    incident: incident === null ? null : { ...incident, facts: plainFacts(incident.facts) },
    pending: pending.map(plainFacts),
  };
  return Buffer.from(JSON.stringify(plain));
};

const plainFacts = (facts: Facts): unknown => ({ ...facts, event: withoutBigints(facts.event) });

const withoutBigints = (value: unknown): unknown => {
  if (typeof value === 'bigint') return { $hex: value.toString(16) };
  if (Array.isArray(value)) return value.map(withoutBigints);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, withoutBigints(of)]));
};

/** null: not a row that this version can read. */
export const decodeVmRow = (bytes: Uint8Array): VmRow | null => {
  try {
    const row = JSON.parse(Buffer.from(bytes).toString(), (_key, value: unknown) =>
      isHex(value) ? BigInt(`0x${value.$hex}`) : value,
    ) as Partial<VmRow> | null;
    return row !== null && row.format === 1 && typeof row.id === 'string'
      ? upgraded(row as VmRow)
      : null;
  } catch {
    return null;
  }
};

/** Rows of a vmwarden that had no conditions, awaits and storms. */
const upgraded = (row: Partial<VmRow> & VmRow): VmRow => {
  const { incident } = row;
  if (incident !== null) {
    const { step, index, openedAt } = incident;
    const charged = step.kind === 'started' || index > 0 || step.attempt > 1;
    const added = { charged, delayMs: 0, waitsFor: null, waitingSince: openedAt };
    return { ...row, history: row.history ?? {}, incident: { ...added, ...incident } };
  }
  return { ...row, history: row.history ?? {} };
};

const isHex = (value: unknown): value is { $hex: string } =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as { $hex?: unknown }).$hex === 'string';
