import type { Record } from '../gen/vmwarden/v1/record.js';
import type { Sequence } from '../journal/journal.js';
import type { Moment } from '../lib/clock.js';
import { own } from '../policy/budget.js';
import { decide } from '../policy/decide.js';
import type { Mode, Policy, Question } from '../policy/policy.js';
import type { VmIdentity } from '../policy/selector.js';
import type { Outcome } from '../vmm/driver.js';
import { type HostStamp, WAIT_TEXT, waitsFor } from './gate.js';
import {
  decisionRecord,
  outcomeRecord,
  type StepPlace,
  startedRecord,
  waitingRecord,
} from './records.js';
import type { Answered, Facts, Incident, VmRow } from './vm-row.js';

/** A new row with the records that say how it came about, in order; nothing of it holds before it is journaled. */
export interface Change {
  readonly row: VmRow;
  readonly records: readonly Record[];
}

/** What a pure change is told of the world. */
export interface Stamp {
  readonly now: Moment;
  readonly journalId: string;
  readonly policy: Policy;
  /** Nothing is done on any VM of this host by itself. */
  readonly hostHeld: boolean;
  /** How the policy treats this VM now: `observe` also under maintenance. */
  readonly mode: Mode;
  /** Labels are the configuration's; a VM that only reporters know has none. */
  readonly labels: VmIdentity['labels'];
  readonly host: HostStamp;
  /** The VMM can be spoken to, or is known to have ended; else a step waits for contact. */
  readonly reachable: boolean;
}

/** A RESET is told of the boot that it ends, and leads to the next. */
const lastEpoch = ({ event, epoch }: Facts): number => epoch + (event.type === 'RESET' ? 1 : 0);

/** Asks the policy about an event and opens the incident that its answer needs. Pure. */
export const answer = (row: VmRow, facts: Facts, stamp: Stamp): Change => {
  const id = incidentId(stamp.journalId, facts.sequence);
  const { name, vms, dying, storm } = stamp.host;
  const question: Question = {
    event: facts.event,
    origin: facts.origin,
    initiator: facts.initiator,
    ageMs: facts.ageMs,
    incident: id,
    held: row.hold !== null,
    hostHeld: stamp.hostHeld,
    bootedSince: row.epoch > lastEpoch(facts),
    attempts: row.attempts,
    now: stamp.now,
    vm: { id: row.id, uid: row.uid, labels: stamp.labels },
    history: row.history,
    host: { name, vms, dying, storm: storm.kind },
  };
  const decision = decide(stamp.policy, question);
  const acts = decision.act && decision.plan.length > 0;
  const outOfReach = acts && !stamp.reachable;
  const decided = decisionRecord(
    stamp.now,
    row.id,
    acts ? id : '',
    facts,
    decision,
    outOfReach,
    question,
  );
  const answered = answeredWith(facts, acts ? id : '', false, stamp.now);
  if (!acts) return { row: { ...row, answered }, records: [decided] };

  const charge = decision.budget !== null && !decision.budget.exhausted;
  // An `await` does nothing to the guest, and begins at once.
  const delayMs = decision.plan[0]?.verb === 'await' ? 0 : decision.delayMs;
  const incident: Incident = {
    id,
    facts,
    openedAt: stamp.now,
    rule: decision.rule?.name ?? '',
    budget: charge ? (decision.budget?.name ?? null) : null,
    plan: decision.plan,
    index: 0,
    step: { kind: 'planned', since: stamp.now, waitMs: delayMs, attempt: 1 },
    ran: false,
    charged: false,
    delayMs: decision.delayMs,
    waitsFor: null,
    waitingSince: stamp.now,
  };
  const opened: VmRow = { ...row, incident, answered, remark: '' };
  const waits = delayMs > 0 || !stamp.reachable;
  const begun = waits ? { row: opened, records: [] } : begin(opened, stamp);
  return { row: begun.row, records: [decided, ...begun.records] };
};

/**
 * Starts the step that is planned: its intent, with the budget's charge in the same commit. A `hold` is carried
 * out by being journaled.
 */
export const begin = (row: VmRow, stamp: Stamp): Change => {
  const { incident } = row;
  const step = incident?.plan[incident.index];
  if (incident === null || step === undefined || incident.step.kind !== 'planned') {
    return { row, records: [] };
  }
  const { attempt } = incident.step;
  const place = placeOf(row.id, incident, attempt);
  const reason = waitsFor(step, incident, stamp);
  if (reason !== null) {
    if (incident.waitsFor === reason) return { row, records: [] };
    const record = waitingRecord(stamp.now, place, reason, WAIT_TEXT[reason]);
    return { row: { ...row, incident: { ...incident, waitsFor: reason } }, records: [record] };
  }
  if (step.verb === 'hold') {
    const outcome: Outcome = {
      kind: 'applied',
      proof: ['the hold is journaled'],
      state: 'unknown',
    };
    const why = `rule ${incident.rule} answered ${incident.facts.event.type}`;
    const held: VmRow = { ...row, hold: { at: stamp.now, reason: why } };
    const closed = close(held, `held: ${why}, incident ${incident.id}`, true, stamp);
    return {
      row: closed.row,
      records: [outcomeRecord(stamp.now, place, outcome, 0n, ''), ...closed.records],
    };
  }
  const pays = step.verb === 'await' || incident.charged ? null : incident.budget;
  const attempts = pays === null ? row.attempts : charged(row.attempts, pays, stamp.now);
  return {
    row: {
      ...row,
      attempts,
      incident: {
        ...incident,
        charged: incident.charged || pays !== null,
        waitsFor: null,
        step: { kind: 'started', at: stamp.now, attempt, bootId: row.seen?.bootId ?? '' },
      },
    },
    records: [startedRecord(stamp.now, place, pays ?? '')],
  };
};

/** Ends the incident, and answers the events that waited for that, until one of them opens the next. */
export const close = (row: VmRow, remark: string, done: boolean, stamp: Stamp): Change => {
  const { incident } = row;
  let closed: VmRow = {
    ...row,
    incident: null,
    remark,
    answered:
      incident === null || incident.operator !== undefined
        ? row.answered
        : answeredWith(incident.facts, incident.id, done, stamp.now),
  };
  const records: Record[] = [];
  for (
    let next = closed.pending[0];
    next !== undefined && closed.incident === null;
    next = closed.pending[0]
  ) {
    const change = answer({ ...closed, pending: closed.pending.slice(1) }, next, stamp);
    closed = change.row;
    records.push(...change.records);
  }
  return { row: closed, records };
};

export const charged = (
  attempts: VmRow['attempts'],
  budget: string,
  at: Moment,
): VmRow['attempts'] => ({ ...attempts, [budget]: [...(own(attempts, budget) ?? []), at] });

/** Takes the latest attempt back. */
export const refunded = (attempts: VmRow['attempts'], budget: string): VmRow['attempts'] => ({
  ...attempts,
  [budget]: (own(attempts, budget) ?? []).slice(0, -1),
});

export const placeOf = (vm: string, incident: Incident, attempt: number): StepPlace => ({
  vm,
  incident: incident.id,
  index: incident.index,
  verb: incident.plan[incident.index]?.verb ?? '',
  attempt,
});

/** Short, unique on the host, and traceable to the event that opened it. */
export const incidentId = (journalId: string, sequence: Sequence): string =>
  `${journalId.slice(0, 8)}-${sequence}`;

const answeredWith = (facts: Facts, incident: string, done: boolean, at: Moment): Answered => ({
  type: facts.event.type,
  origin: facts.origin,
  done,
  epoch: facts.epoch,
  at,
  incident,
});
