import { vmmEvent } from '../event/vmm-event.js';
import type { Sequence } from '../journal/journal.js';
import type { Step } from '../policy/policy.js';
import type { Inspection, Outcome } from '../vmm/driver.js';
import { advance, cancelled } from './advance.js';
import { begin, type Change, incidentId, type Stamp } from './answer.js';
import { isAwaiting } from './awaiting.js';
import type { ActAsked, By } from './operators.js';
import { operatorRecord } from './records.js';
import type { Facts, Incident, VmRow } from './vm-row.js';

/** What an operator's request makes of a VM's row. Pure; the operator's record is the first of the change's. */

interface Place {
  /** That the change's first record will get. */
  readonly sequence: Sequence;
  /** The driver's life, in which `Inspection.boots` counts. */
  readonly life: string;
}

/** Opens the incident of an act and begins it at once. The row has none open. */
export const openAct = (
  row: VmRow,
  { verb, timeoutMs }: ActAsked,
  by: By,
  inspection: Inspection,
  { sequence, life }: Place,
  stamp: Stamp,
): Change => {
  const { now } = stamp;
  const id = incidentId(stamp.journalId, sequence);
  // An act stands where an event stands, and is of no type that a death is of: none is taken for its echo.
  const facts: Facts = {
    sequence,
    event: vmmEvent('UNKNOWN', { reason: 'operator', action: verb }),
    origin: row.answered?.origin ?? 'qmp',
    initiator: 'operator',
    epoch: row.epoch,
    ageMs: 0,
    // The boot that the operator means is the one that was there as he asked.
    boots: inspection.boots,
    driverLife: life,
    unstated: false,
  };
  const opened: VmRow = {
    ...row,
    remark: '',
    incident: {
      id,
      facts,
      openedAt: now,
      rule: '',
      operator: { actor: by.actor, reason: by.reason },
      budget: null,
      // Tried once: who asked for it is there to ask again.
      plan: [planned(verb, timeoutMs)],
      index: 0,
      step: { kind: 'planned', since: now, waitMs: 0, attempt: 1 },
      ran: false,
      charged: false,
      delayMs: 0,
      waitsFor: null,
      waitingSince: now,
    },
  };
  return led(operatorRecord(now, row.id, { ...by, verb }, id), begin(opened, stamp));
};

const planned = (verb: ActAsked['verb'], timeoutMs: number): Step => {
  const options = { timeoutMs, retries: 0, onFailure: 'continue' } as const;
  switch (verb) {
    case 'restart':
      return { verb, in: 'place', ...options };
    case 'restartProcess':
      return { verb: 'restart', in: 'process', ...options };
    default:
      return { verb, ...options };
  }
};

/** Ends what is open: a waiting step now; a running one with its outcome, behind which nothing more is done. */
export const callOff = (
  row: VmRow,
  verb: 'cancel' | 'hold',
  { actor, reason }: By,
  stamp: Stamp,
): Change => {
  const { incident } = row;
  if (incident === null) return { row, records: [] };
  // What was cancelled stays so when it is held as well.
  const calledOff: Incident['calledOff'] =
    verb === 'cancel' ? { actor, reason } : (incident.calledOff ?? { actor, reason, byHold: true });
  const off: VmRow = { ...row, incident: { ...incident, calledOff } };
  // One that only waits for an event does nothing that would have to come to its end.
  if (incident.step.kind === 'started' && !isAwaiting(incident)) return { row: off, records: [] };
  const outcome: Outcome =
    verb === 'hold'
      ? cancelled('HELD', `held by ${actor}: ${reason}`)
      : cancelled('CALLED_OFF', `by ${actor}: ${reason}`);
  return advance(off, { outcome, elapsedNs: 0n, path: '' }, stamp);
};

/** The row without its hold; the plan whose step was running when the hold came, and still is, goes on behind it. */
export const letGo = (row: VmRow): VmRow => {
  // What was answered while it was held was answered with nothing.
  const free: VmRow = { ...row, hold: null, remark: '', answered: null };
  if (row.incident?.calledOff?.byHold !== true) return free;
  const { calledOff: _, ...incident } = row.incident;
  return { ...free, incident };
};

export const led = (record: Change['records'][number], change: Change): Change => ({
  row: change.row,
  records: [record, ...change.records],
});
