import { pruneAttempts } from '../policy/budget.js';
import { remember } from '../policy/history.js';
import type { StormState } from '../policy/policy.js';
import { afterDeath, isDeath } from '../policy/storm.js';
import { type Admission, type Arrival, admit } from './admit.js';
import { advance } from './advance.js';
import { answer, type Change, type Stamp } from './answer.js';
import { awaited } from './awaiting.js';
import { eventRecord, type Fold } from './records.js';
import type { VmRow } from './vm-row.js';

export interface TakenIn extends Change {
  readonly admission: Admission;
  /** A VM died that nobody asked to: one more for the storm guard. */
  readonly death: boolean;
  readonly storm: StormState;
}

/**
 * One event in: its place in the VM's life, the policy's answer, the first intent, and the records of all that, the
 * event's first; it gets `sequence`. `stamp.host.dying` counts the other VMs. Pure: live traffic, replays of a journal and an
 * operator's cases come through here.
 */
export const takeIn = (
  before: VmRow,
  arrival: Arrival,
  fold: Fold | null,
  sequence: number,
  stamp: Stamp,
): TakenIn => {
  const admission = admit(before, arrival, sequence, stamp.now);
  const { facts, disposition } = admission;
  const { host, policy, now } = stamp;
  const death =
    admission.counts && isDeath(facts.event.type, facts.initiator) && !isStale(facts, stamp);
  const dying = host.dying + (death ? 1 : 0);
  const storm = death
    ? afterDeath(host.storm, policy.safety.storm, { vms: host.vms, dying }, now)
    : host.storm;
  const { row, records } = answered(admission, arrival, fold, {
    ...stamp,
    host: { ...host, dying, storm },
  });
  const incident = incidentOf(before, records, admission);
  const event = eventRecord(
    stamp.now,
    row,
    arrival.report,
    facts,
    disposition,
    incident,
    fold,
    arrival.driver !== null,
    arrival.driver?.earlier ?? false,
  );
  return { admission, row, records: [event, ...records], death, storm };
};

const answered = (
  admission: Admission,
  arrival: Arrival,
  fold: Fold | null,
  stamp: Stamp,
): Change => {
  const attempts = pruneAttempts(stamp.policy.budgets, admission.row.attempts, stamp.now);
  const history = remembered(admission, fold?.count ?? 1, stamp);
  const row: VmRow = { ...admission.row, attempts, history };
  switch (admission.answer) {
    case 'now':
      return answer(row, admission.facts, stamp);
    case 'later':
      return told(
        { ...row, pending: [...row.pending, admission.facts] },
        admission,
        arrival,
        stamp,
      );
    case 'none':
      return told(row, admission, arrival, stamp);
  }
};

/** Told to the open incident, which ends its wait when it is what that awaits. */
const told = (row: VmRow, admission: Admission, arrival: Arrival, stamp: Stamp): Change => {
  const outcome = row.incident === null ? null : awaited(row.incident, admission, arrival);
  return outcome === null
    ? { row, records: [] }
    : advance(row, { outcome, elapsedNs: 0n, path: '' }, stamp);
};

/** What conditions count: what happened now, and what nobody but the guest is known to have caused. */
const remembered = (
  { row, facts, counts }: Admission,
  times: number,
  stamp: Stamp,
): VmRow['history'] => {
  const own = facts.initiator === 'guest' || facts.initiator === 'unknown';
  return counts && own && !isStale(facts, stamp)
    ? remember(row.history, facts.event.type, stamp.now, times)
    : row.history;
};

const isStale = ({ ageMs }: Admission['facts'], { policy }: Stamp): boolean =>
  ageMs > policy.safety.maxEventAgeMs;

/** An incident that a `hold` alone has closed already is on the decision's record, which is the first. */
const incidentOf = (
  before: VmRow,
  [decision]: Change['records'],
  { disposition, answer: when }: Admission,
): string => {
  if (disposition === 'decided') return when === 'now' ? (decision?.incidentId ?? '') : '';
  if (disposition === 'olderBoot') return '';
  return before.incident?.id ?? before.answered?.incident ?? '';
};
