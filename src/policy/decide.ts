import type { Initiator } from '../event/report.js';
import { own, usage, waitBefore } from './budget.js';
import * as explain from './explain.js';
import { isUntrusted, matches, matchesLoosely, otherwiseMatches, type Traits } from './match.js';
import type { BudgetCharge, Decision, Policy, Question, Rule, Step } from './policy.js';

/**
 * What the policy answers: the first rule that matches, else `otherwise`. Pure and total. The caller charges one
 * attempt to `budget.name` when it acts on a decision whose budget is there and not exhausted.
 */
export const decide = (policy: Policy, question: Question): Decision => {
  const traits: Traits = {
    type: question.event.type,
    initiator: question.initiator,
    origin: question.origin,
    anomalies: question.event.anomalies,
  };
  const rule = policy.rules.find((candidate) => matches(candidate, traits)) ?? null;
  const steps = rule?.do ?? (otherwiseMatches(traits) ? policy.otherwise : []);
  const plan = steps.filter(acts);
  const answer =
    stopped(policy, question, plan) ??
    (rule === null ? { ...NOTHING, plan } : withinBudget(policy, rule, plan, question));
  const observed = policy.mode === 'observe' && answer.plan.length > 0;
  return {
    mode: policy.mode,
    policyHash: policy.hash,
    rule: rule === null ? null : { name: rule.name, line: rule.line },
    reasons: [
      ...(rule === null ? whyNoRule(policy, traits) : [explain.matched(rule, traits)]),
      ...answer.reasons,
      ...(observed ? [explain.observes()] : []),
    ],
    plan: answer.plan,
    act: policy.mode === 'enforce' && answer.plan.length > 0,
    budget: answer.budget,
    delayMs: answer.delayMs,
  };
};

type Answer = Pick<Decision, 'reasons' | 'plan' | 'budget' | 'delayMs'>;

const NOTHING: Answer = { reasons: [], plan: [], budget: null, delayMs: 0 };

/** Why there is nothing to do, or nothing may be done, whatever the budget says. */
const stopped = (policy: Policy, question: Question, plan: readonly Step[]): Answer | null => {
  if (plan.length === 0) return { ...NOTHING, reasons: [explain.notifies()] };
  if (question.hostHeld === true) return { ...NOTHING, reasons: [explain.hostHeld()] };
  if (question.held) return { ...NOTHING, reasons: [explain.held()] };
  const { maxEventAgeMs } = policy.safety;
  if (question.ageMs <= maxEventAgeMs) return null;
  return { ...NOTHING, reasons: [explain.tooOld(question.ageMs, maxEventAgeMs)] };
};

const withinBudget = (
  policy: Policy,
  rule: Rule,
  plan: readonly Step[],
  question: Question,
): Answer => {
  if (rule.budget === null) return { ...NOTHING, plan };
  if (!isCharged(question.initiator)) {
    return { ...NOTHING, plan, reasons: [explain.notCharged(rule.budget, question.initiator)] };
  }
  const budget = own(policy.budgets, rule.budget);
  const attempts = own(question.attempts, rule.budget) ?? [];
  const use = budget === undefined ? null : usage(budget.limits, attempts, question.now);
  if (budget === undefined || use === null) {
    return { ...NOTHING, reasons: [explain.budgetUndefined(rule.budget)] };
  }
  const charge: BudgetCharge = {
    name: rule.budget,
    before: use.used,
    after: use.exhausted ? use.used : use.used + 1,
    limit: use.limit,
    exhausted: use.exhausted,
  };
  if (use.exhausted) {
    const rest = rule.exhausted.filter(acts);
    const reasons = [explain.exhausted(charge, use.freeInMs), explain.insteadOf(rest)];
    return { reasons, plan: rest, budget: charge, delayMs: 0 };
  }
  const wait = waitBefore(budget, attempts, question.now, question.incident);
  const reasons = [explain.charged(charge), ...explain.waits(wait, budget)];
  return { reasons, plan, budget: charge, delayMs: wait.delayMs };
};

/** What the host or an operator brought about says nothing of the guest's health. */
const isCharged = (initiator: Initiator): boolean =>
  initiator !== 'host' && initiator !== 'operator';

const acts = (step: Step): boolean => step.verb !== 'notify';

const whyNoRule = (policy: Policy, traits: Traits): readonly string[] => {
  const passedOver = isUntrusted(traits)
    ? policy.rules.find((rule) => matchesLoosely(rule, traits))
    : undefined;
  if (passedOver !== undefined) return [explain.untrusted(passedOver, traits)];
  return [
    explain.noRule(traits),
    ...(otherwiseMatches(traits) ? [] : [explain.otherwiseWithheld(traits)]),
  ];
};
