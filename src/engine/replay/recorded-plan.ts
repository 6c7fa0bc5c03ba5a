import {
  type Decision,
  type PlannedStep,
  type Record,
  StepState,
} from '../../gen/vmwarden/v1/record.js';
import { plannedStep } from '../records.js';
import type { Incident } from '../vm-row.js';

export interface Sequenced {
  readonly sequence: number;
  readonly record: Record;
}

/** Records behind one that may be of its commit: at most 16 events wait for an incident to close. */
export const COMMIT_RECORDS = 48;

/** The decisions in the same commit as the record at `index`, behind it. */
export const decisionsBehind = (
  all: readonly Sequenced[],
  index: number,
): readonly { readonly id: string; readonly decision: Decision }[] => {
  const vm = all[index]?.record.vmId;
  const found: { id: string; decision: Decision }[] = [];
  for (let next = index + 1; next < index + COMMIT_RECORDS; next += 1) {
    const record = all[next]?.record;
    const kind = record?.body?.$case;
    if (record?.vmId !== vm || (kind !== 'decision' && kind !== 'step')) break;
    if (record?.body?.$case === 'decision') {
      found.push({ id: record.incidentId, decision: record.body.value });
    }
  }
  return found;
};

/** In the same commit as the record at `index` a step had to wait for a place on the host. */
export const waitedBehind = (all: readonly Sequenced[], index: number): boolean => {
  const vm = all[index]?.record.vmId;
  for (let next = index + 1; next < index + COMMIT_RECORDS; next += 1) {
    const record = all[next]?.record;
    if (record?.vmId !== vm) return false;
    if (record?.body?.$case === 'decision') continue;
    if (record?.body?.$case !== 'step') return false;
    const { state, reason } = record.body.value;
    return state === StepState.WAITING && reason === 'CONCURRENT';
  }
  return false;
};

/** With it the steps begin and end as they did: by the same plan, after the same wait. */
export const samePlan = ({ plan, now, notBefore }: Decision, incident: Incident): boolean => {
  const waitedMs = notBefore === undefined ? 0 : notBefore.getTime() - (now?.getTime() ?? 0);
  const planned = incident.plan.map(plannedStep);
  return sameSteps(plan, planned) && Math.abs(waitedMs - incident.delayMs) < 1;
};

const sameSteps = (some: readonly PlannedStep[], others: readonly PlannedStep[]): boolean =>
  some.length === others.length &&
  some.every((one, index) => {
    const other = others[index];
    return (
      one.verb === other?.verb &&
      one.inProcess === other.inProcess &&
      one.awaitEvent === other.awaitEvent &&
      one.retries === other.retries &&
      one.continueOnFailure === other.continueOnFailure &&
      sameSteps(one.otherwise, other.otherwise)
    );
  });
