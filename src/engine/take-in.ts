import { pruneAttempts } from '../policy/budget.js';
import { type Admission, type Arrival, admit } from './admit.js';
import { answer, type Change, type Stamp } from './answer.js';
import { eventRecord, type Fold } from './records.js';
import type { VmRow } from './vm-row.js';

export interface TakenIn extends Change {
  readonly admission: Admission;
}

/**
 * One event in: its place in the VM's life, the policy's answer, the first intent, and the records of all that, the
 * event's first; it gets `sequence`. Pure: live traffic, replays of a journal and an operator's cases come through here.
 */
export const takeIn = (
  before: VmRow,
  arrival: Arrival,
  fold: Fold | null,
  sequence: number,
  stamp: Stamp,
): TakenIn => {
  const admission = admit(before, arrival, sequence, stamp.now);
  const { row, records } = answered(admission, stamp);
  const { facts, disposition } = admission;
  const incident = incidentOf(before, row, admission);
  const event = eventRecord(
    stamp.now,
    row,
    arrival.report,
    facts,
    disposition,
    incident,
    fold,
    arrival.driver !== null,
  );
  return { admission, row, records: [event, ...records] };
};

const answered = (admission: Admission, stamp: Stamp): Change => {
  const attempts = pruneAttempts(stamp.policy.budgets, admission.row.attempts, stamp.now);
  const row: VmRow = { ...admission.row, attempts };
  switch (admission.answer) {
    case 'now':
      return answer(row, admission.facts, stamp);
    case 'later':
      return { row: { ...row, pending: [...row.pending, admission.facts] }, records: [] };
    case 'none':
      return { row, records: [] };
  }
};

const incidentOf = (
  before: VmRow,
  after: VmRow,
  { disposition, answer: when }: Admission,
): string => {
  if (disposition === 'decided') return when === 'now' ? (after.incident?.id ?? '') : '';
  if (disposition === 'olderBoot') return '';
  return before.incident?.id ?? before.answered?.incident ?? '';
};
