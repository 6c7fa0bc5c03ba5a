import { exceeded, own } from '../policy/budget.js';
import type { Inspection, Outcome } from '../vmm/driver.js';
import { again, cancelled, exhaust } from './advance.js';
import type { Change, Stamp } from './answer.js';
import { stoppedWaiting } from './awaiting.js';
import type { Incident, VmRow } from './vm-row.js';

/**
 * What to do about an intent that an earlier life of vmwarden left without an outcome. Inspected, never blindly run
 * again: another host boot or VMM process cancels it, a guest that still waits gets it once more and pays for it.
 */
export const resume = (row: VmRow, inspection: Inspection, stamp: Stamp): Resumption => {
  const { incident } = row;
  if (incident === null || incident.step.kind !== 'started') return { kind: 'nothing' };
  const { step, calledOff } = incident;
  if (calledOff !== undefined) {
    const message = `called off by ${calledOff.actor}: ${calledOff.reason}; how far it came was not seen`;
    return {
      kind: 'done',
      outcome: { kind: 'unverified', reason: 'CALLED_OFF', message, proof: [] },
    };
  }
  if (step.at.hostBootId !== stamp.now.hostBootId) {
    return { kind: 'done', outcome: cancelled('HOST_REBOOTED', 'the host has booted since') };
  }
  const running = incident.plan[incident.index];
  if (running?.verb === 'restart' && running.in === 'process' && isNewProcess(step, inspection)) {
    const proof = ['the VMM process is a new one', `status ${inspection.raw}`];
    return { kind: 'done', outcome: { kind: 'already', proof, state: inspection.state } };
  }
  if (step.bootId !== inspection.bootId) {
    return { kind: 'done', outcome: cancelled('OTHER_PROCESS', 'the VMM process is another one') };
  }
  if (running?.verb === 'await') return resumeAwait(row, incident, inspection);
  // Half done by ourselves: the driver finishes it, which costs no further attempt.
  if (inspection.state === 'prelaunch') return { kind: 'again', change: { row, records: [] } };

  const verb = incident.plan[incident.index]?.verb;
  if (verb === 'restart' && row.epoch > incident.facts.epoch) {
    // It did boot. If it is down again, that is another death, with an event and an answer of its own.
    const proof = [
      `boot epoch ${row.epoch} after ${incident.facts.epoch}`,
      `status ${inspection.raw}`,
    ];
    return { kind: 'done', outcome: { kind: 'already', proof, state: inspection.state } };
  }
  if (inspection.state === 'exited') return { kind: 'done', outcome: onNobody(verb) };
  const { detail } = incident.facts.event;
  if (inspection.state === 'running' && detail.kind === 'vmm' && detail.action === 'run') {
    // The VMM let this guest run on after its panic, so running doesn't show that it was restarted.
    return {
      kind: 'done',
      outcome: {
        kind: 'unverified',
        reason: 'CANNOT_TELL',
        message: 'the guest runs, as it also would if the step had never reached it',
        proof: [`status ${inspection.raw}`],
      },
    };
  }
  const { budget } = incident;
  // It pays also where the policy has no budget of that name any more: one that comes back finds its attempts.
  const pays = inspection.state !== 'running' && budget !== null;
  const limits = budget === null ? undefined : own(stamp.policy.budgets, budget)?.limits;
  const spent = budget === null ? [] : (own(row.attempts, budget) ?? []);
  if (pays && limits !== undefined && exceeded(limits, spent, stamp.now)) {
    const outcome = cancelled('BUDGET_EXHAUSTED', `budget ${incident.budget} has no attempt left`);
    return { kind: 'exhausted', change: exhaust(row, incident, outcome, stamp) };
  }
  return { kind: 'again', change: again(row, incident, pays, stamp) };
};

const isNewProcess = (step: { readonly bootId: string }, { bootId, state }: Inspection): boolean =>
  bootId !== step.bootId && (state === 'running' || state === 'prelaunch');

/** Nothing was done to the guest: it is waited for on, unless it is seen to be over it, or stopped. */
const resumeAwait = (row: VmRow, incident: Incident, { state, raw }: Inspection): Resumption => {
  if (row.epoch > incident.facts.epoch) {
    const proof = [`boot epoch ${row.epoch} after ${incident.facts.epoch}`, `status ${raw}`];
    return { kind: 'done', outcome: { kind: 'already', proof, state } };
  }
  const outcome = stoppedWaiting(state, raw);
  return outcome === null ? { kind: 'nothing' } : { kind: 'done', outcome };
};

export type Resumption =
  | { readonly kind: 'nothing' }
  /** No attempt is left to pay for it with: the event was put to the policy again. */
  | { readonly kind: 'exhausted'; readonly change: Change }
  | { readonly kind: 'done'; readonly outcome: Outcome }
  /** Journal the change, then run the verb, which inspects by itself. */
  | { readonly kind: 'again'; readonly change: Change };

/** What became of a verb whose VMM process has ended: no driver needs to be asked. */
const onNobody = (verb: string | undefined): Outcome =>
  verb === 'powerOff'
    ? { kind: 'already', proof: ['process gone'], state: 'exited' }
    : { kind: 'failed', reason: 'VMM_GONE', message: 'the VMM process has ended', proof: [] };
