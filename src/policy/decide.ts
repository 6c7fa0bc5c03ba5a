import type { Initiator } from '../event/report.js';
import { own, usage, waitBefore } from './budget.js';
import * as explain from './explain.js';
import { maintenanceOf } from './maintenance.js';
import { isUntrusted, matches, matchesLoosely, otherwiseMatches, type Traits } from './match.js';
import type { BudgetCharge, Decision, Policy, Question, Rule, Step } from './policy.js';
import { rulesOn } from './rules-on.js';
import { selects } from './selector.js';

/**
 * What the policy answers: the first rule that matches, else `otherwise`. The caller charges one attempt to `budget.name`
 * when it acts on a decision whose budget is there and not exhausted.
 *
 * This is the pure step: total, no clock, no state. Live traffic, `policy test` and `policy simulate` all come through
 * here, and the same policy and question give the same decision.
 */
export const decide = (policy: Policy, question: Question): Decision => {
  const traits: Traits = {
    type: question.event.type,
    initiator: question.initiator,
    origin: question.origin,
    anomalies: question.event.anomalies,
  };
  const found = firstMatch(policy, question, traits);
  const { rule } = found;
  const steps = rule?.do ?? (otherwiseMatches(traits) ? policy.otherwise : []);
  const plan = steps.filter(acts);
  const answer =
    failedCondition(found) ??
    stopped(policy, question, plan) ??
    (rule === null ? { ...NOTHING, plan } : withinBudget(policy, rule, plan, question));
  const maintenance = maintenanceOf(policy, question.vm, question.now.wallMs);
  const mode = maintenance === null ? policy.mode : 'observe';
  const observed = mode === 'observe' && answer.plan.length > 0;
  return {
    mode,
    policyHash: policy.hash,
    rule: rule === null ? null : { name: rule.name, line: rule.line },
    reasons: [
      ...(rule === null ? whyNoRule(policy, traits) : [explain.matched(rule, traits)]),
      ...answer.reasons,
      ...(observed ? [explain.observes(policy.mode === 'observe' ? null : maintenance)] : []),
      ...(waitsForStorm(mode, answer.plan, question) ? [explain.storm(question.host)] : []),
    ],
    plan: answer.plan,
    act: mode === 'enforce' && answer.plan.length > 0,
    budget: answer.budget,
    delayMs: answer.delayMs,
    conditionError: found.error,
  };
};

interface Match {
  /** null: `otherwise`. */
  readonly rule: Rule | null;
  /** Its condition failed: no later rule is asked, since this one might have been meant to keep them from answering. */
  readonly error: string | null;
}

const firstMatch = (policy: Policy, question: Question, traits: Traits): Match => {
  for (const rule of rulesOn(policy.rules, traits.type)) {
    if (!matches(rule, traits) || !selects(rule.vms, question.vm)) continue;
    if (rule.when === null) return { rule, error: null };
    const result = rule.when.test(question);
    if (!result.ok) return { rule, error: result.why };
    if (result.holds) return { rule, error: null };
  }
  return { rule: null, error: null };
};

const failedCondition = ({ rule, error }: Match): Answer | null =>
  rule === null || error === null
    ? null
    : { ...NOTHING, reasons: [explain.conditionFailed(rule, error)] };

const restarts = (steps: readonly Step[]): boolean =>
  steps.some(
    (step) => step.verb === 'restart' || (step.verb === 'await' && restarts(step.otherwise)),
  );

const waitsForStorm = (mode: Policy['mode'], plan: readonly Step[], { host }: Question): boolean =>
  mode === 'enforce' && host.storm === 'on' && restarts(plan);

type Answer = Pick<Decision, 'reasons' | 'plan' | 'budget' | 'delayMs'>;

const NOTHING: Answer = { reasons: [], plan: [], budget: null, delayMs: 0 };

/** Why there is nothing to do, or nothing may be done, whatever the budget says. */
const stopped = (policy: Policy, question: Question, plan: readonly Step[]): Answer | null => {
  if (plan.length === 0) return { ...NOTHING, reasons: [explain.notifies()] };
  if (question.hostHeld === true) return { ...NOTHING, reasons: [explain.hostHeld()] };
  if (question.bootedSince === true) return { ...NOTHING, reasons: [explain.bootedSince()] };
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
    ? rulesOn(policy.rules, traits.type).find((rule) => matchesLoosely(rule, traits))
    : undefined;
  if (passedOver !== undefined) return [explain.untrusted(passedOver, traits)];
  return [
    explain.noRule(traits),
    ...(otherwiseMatches(traits) ? [] : [explain.otherwiseWithheld(traits)]),
  ];
};
