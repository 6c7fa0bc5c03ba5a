import type { Initiator } from '../event/report.js';
import { sayDuration } from '../lib/duration.js';
import { formatTimestamp } from '../lib/timestamp.js';
import type { Wait } from './budget.js';
import { isUntrusted, type Traits, UNTRUSTED } from './match.js';
import type { Budget, BudgetCharge, HostFacts, Maintenance, Rule, Step } from './policy.js';

/** The sentences of a decision's `reasons`: what matched, what it cost, why nothing is done. */

const ruleText = (rule: Pick<Rule, 'name' | 'line'>): string =>
  `rule "${rule.name}" (line ${rule.line})`;

const BY: Readonly<Record<Initiator, string>> = {
  guest: 'by the guest',
  host: 'by the host',
  operator: 'by an operator',
  vmwarden: 'by vmwarden itself',
  unknown: 'by an unknown initiator',
};

const eventText = ({ type, initiator }: Traits): string => `${type} ${BY[initiator]}`;

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

export const matched = (rule: Rule, traits: Traits): string =>
  `${capital(ruleText(rule))} matched ${eventText(traits)}.`;

export const noRule = (traits: Traits): string => `No rule matched ${eventText(traits)}.`;

export const untrusted = (rule: Rule, traits: Traits): string =>
  `The event is marked ${UNTRUSTED}: ${ruleText(rule)} would match ${eventText(traits)}, but doesn't name that anomaly.`;

export const otherwiseWithheld = (traits: Traits): string => {
  const why = isUntrusted(traits)
    ? `marked ${UNTRUSTED}`
    : traits.type === 'UNKNOWN'
      ? 'of a type without a name'
      : `caused ${BY[traits.initiator]}`;
  return `The event is ${why}, so "otherwise" doesn't act on it: that takes a rule.`;
};

export const notifies = (): string =>
  'The answer is to notify only: recorded and told, nothing done.';

export const held = (): string => 'This VM is held: nothing is done until it is released.';

export const bootedSince = (): string =>
  'The guest has booted since, while this waited for an incident to close: recorded only.';

export const hostHeld = (): string =>
  'This host is held: nothing is done on any of its VMs until it is released.';

export const tooOld = (ageMs: number, maxMs: number): string =>
  `The event was ${sayDuration(ageMs)} old when it was journaled; more than ${sayDuration(maxMs)} (safety.maxEventAge) is recorded only.`;

export const observes = (maintenance: Maintenance | null): string => {
  if (maintenance === null) return 'The mode is observe: this is what would be done; nothing is.';
  const until =
    maintenance.untilMs === null ? '' : ` until ${formatTimestamp(maintenance.untilMs)}`;
  return `This VM is under maintenance${until} (${maintenance.reason}): this is what would be done; nothing is.`;
};

export const conditionFailed = (rule: Rule, why: string): string =>
  `CONDITION_ERROR: the condition of ${ruleText(rule)} failed (${why}), so nothing is done, and no later rule is asked.`;

export const storm = ({ dying }: HostFacts): string =>
  `The storm guard is on (${dying} VMs died lately, so the host is suspect): a restart waits until it is over.`;

export const notCharged = (budget: string, initiator: Initiator): string =>
  `Budget "${budget}" isn't charged: the event was caused ${BY[initiator]}.`;

export const budgetUndefined = (budget: string): string =>
  `The policy has no budget "${budget}", so nothing is done.`;

export const charged = ({ name, after, limit }: BudgetCharge): string =>
  `Attempt ${after} of ${limit.attempts} within ${sayDuration(limit.withinMs)} (budget "${name}").`;

export const waits = ({ attempt, delayMs }: Wait, budget: Budget): readonly string[] =>
  delayMs === 0
    ? []
    : [
        `Waits ${sayDuration(delayMs)} first: attempt ${attempt} of a streak, which ends when the VM needs none for ${sayDuration(budget.stableAfterMs)} (stableAfter).`,
      ];

export const exhausted = ({ name, before, limit }: BudgetCharge, freeInMs: number): string =>
  `Budget "${name}" is used up: ${before} of ${limit.attempts} within ${sayDuration(limit.withinMs)}; the next attempt is free in ${sayDuration(freeInMs)}.`;

export const insteadOf = (plan: readonly Step[]): string =>
  plan.length === 0
    ? 'The rule has nothing under "exhausted", so it notifies only.'
    : 'So the answer is what the rule has under "exhausted".';
