import type { SimulatedDecision, VerbCount } from '../../gen/vmwarden/v1/policy_service.js';
import { PolicyMode } from '../../gen/vmwarden/v1/record.js';
import { EventType, Initiator, Origin } from '../../gen/vmwarden/v1/system_event.js';
import { sayDuration } from '../../lib/duration.js';

/** Simulated decisions in words, for people and for programs. */

export const ruleWord = (rule: string): string => (rule === '' ? 'otherwise' : `"${rule}"`);

/** `dump, restart after 10 s`; `notify` where nothing is planned. */
export const planText = (simulated: SimulatedDecision | undefined): string => {
  const decision = simulated?.decision;
  if (decision === undefined) return 'not decided: an incident was open';
  const verbs = decision.plan.map(({ verb }) => verb);
  if (verbs.length === 0) return isHeld(simulated) ? 'nothing, held' : 'notify';
  const delayMs = delayOf(simulated);
  const waits = delayMs > 0 ? ` after ${sayDuration(delayMs)}` : '';
  const observed = decision.mode === PolicyMode.OBSERVE ? ' (observed only)' : '';
  return `${verbs.join(', ')}${waits}${observed}`;
};

/** What answered, and with what. */
export const answerText = (simulated: SimulatedDecision | undefined): string => {
  const decision = simulated?.decision;
  if (decision === undefined) return planText(simulated);
  const spent =
    decision.budget?.exhausted === true ? `, budget ${decision.budget.name} used up` : '';
  return `${ruleWord(decision.rule)}${spent}: ${planText(simulated)}`;
};

const isHeld = (simulated: SimulatedDecision | undefined): boolean =>
  simulated?.decision?.reasons.some((reason) => reason.startsWith('This VM is held')) ?? false;

export const delayOf = (simulated: SimulatedDecision | undefined): number => {
  const decision = simulated?.decision;
  return decision?.notBefore === undefined
    ? 0
    : decision.notBefore.getTime() - (decision.now?.getTime() ?? 0);
};

export const eventWord = ({ eventType, initiator }: SimulatedDecision): string =>
  `${EventType[eventType] ?? eventType} by ${(Initiator[initiator] ?? 'unknown').toLowerCase()}`;

export const timeText = (time: Date | undefined): string =>
  time === undefined || Number.isNaN(time.getTime()) ? '-' : time.toISOString();

export const stepsText = (steps: readonly VerbCount[]): string =>
  steps.map(({ verb, count }) => `${verb} ${count}`).join(', ') || '-';

export const decisionJson = (simulated: SimulatedDecision | undefined) => {
  const decision = simulated?.decision;
  if (simulated === undefined || decision === undefined) return null;
  const { budget } = decision;
  return {
    eventSequence: Number(decision.eventSequence),
    at: timeText(decision.now),
    vmId: simulated.vmId,
    incidentId: simulated.incidentId,
    event: EventType[simulated.eventType] ?? simulated.eventType,
    origin: Origin[simulated.origin] ?? simulated.origin,
    initiator: Initiator[simulated.initiator] ?? simulated.initiator,
    rule: decision.rule,
    ruleLine: decision.ruleLine,
    act: simulated.incidentId !== '',
    plan: decision.plan.map(({ verb }) => verb),
    delayMs: delayOf(simulated),
    budget: budget === undefined ? null : { ...budget, withinMs: Number(budget.withinMs) },
    reasons: decision.reasons,
  };
};
