import { sayDuration } from '../lib/duration.js';
import {
  type BudgetDocument,
  budgetSchema,
  type RuleDocument,
  ruleSchema,
  type StepDocument,
  safetySchema,
  type VmsDocument,
  vmsSchema,
} from './document.js';
import { type Path, PROBLEMS, printable, WARNINGS, type WarningId } from './problem.js';
import { reachability } from './reach.js';
import { didYouMean, isRecord, type Report, valueAt } from './shape.js';

type OtherwiseDocument = NonNullable<Exclude<StepDocument, string>['await']>['otherwise'][number];

export type Warn = (id: WarningId, path: Path, message: string, hint: string) => void;

/**
 * What the parts mean together. Looks at each part that has the right shape, so that one wrong word elsewhere
 * hides nothing.
 */
export const reportMeaning = (root: unknown, report: Report, warn: Warn): void => {
  const budgets = valueAt(root, ['spec', 'budgets']);
  const budgetNames = isRecord(budgets) ? Object.keys(budgets) : [];
  for (const name of budgetNames) {
    const budget = budgetSchema.safeParse(isRecord(budgets) ? budgets[name] : null);
    if (budget.success) reportBudget(root, name, budget.data, report);
  }

  const list = valueAt(root, ['spec', 'rules']);
  const entries: readonly unknown[] = Array.isArray(list) ? list : [];
  const used = new Set<string>();
  const firstNamed = new Map<string, number>();
  const reach = reachability<number>();
  for (const [index, entry] of entries.entries()) {
    const path = ['spec', 'rules', index];
    // Read raw, so that a broken rule doesn't make its budget look unused, or its name free.
    const budget = valueAt(entry, ['budget']);
    if (typeof budget === 'string') used.add(budget);
    const name = valueAt(entry, ['name']);
    if (typeof name === 'string') {
      const first = firstNamed.get(name);
      if (first === undefined) {
        firstNamed.set(name, index);
      } else {
        const message = `${printable(name)} is also the name of rule ${first + 1}; expected a name of its own`;
        report(PROBLEMS.duplicateRule, [...path, 'name'], message, 'decisions name the rule');
      }
    }
    const parsed = ruleSchema.safeParse(entry);
    if (!parsed.success) continue;
    const rule = parsed.data;
    reportRule(path, rule, budgetNames, report, warn);
    reportSelector([...path, 'vms'], rule.vms, report);
    const pattern = {
      on: rule.on,
      initiator: rule.initiator,
      origin: rule.origin ?? null,
      anomaly: rule.anomaly ?? null,
    };
    const conditional = rule.when !== undefined || rule.vms !== undefined;
    const earlier = reach.add(index, pattern, conditional);
    if (earlier.length > 0) {
      const names = earlier
        .slice(0, 3)
        .map((other) => printable(valueAt(entries[other], ['name'])));
      const message = `rule ${printable(rule.name)} can't be reached: what it matches is answered by ${names.join(', ')} before it`;
      report(PROBLEMS.unreachableRule, path, message, 'move it up, or take it out');
    }
  }
  for (const name of budgetNames) {
    if (used.has(name)) continue;
    const message = `no rule uses the budget ${printable(name)}`;
    warn(WARNINGS.unusedBudget, ['spec', 'budgets', name], message, 'name it in a rule: budget');
  }
  reportOtherwise(root, report, warn);
  reportSafety(root, report);
  reportMaintenance(root, report);
};

const reportBudget = (
  root: unknown,
  name: string,
  budget: BudgetDocument,
  report: Report,
): void => {
  const path = ['spec', 'budgets', name, 'delay'];
  const { base, max, jitter } = budget.delay;
  if (base > max) {
    const message = `base ${sayDuration(base)} is more than max ${sayDuration(max)}; expected at most max`;
    report(PROBLEMS.outOfRange, [...path, 'base'], message);
  }
  const safety = safetySchema.safeParse(valueAt(root, ['spec', 'safety']) ?? {});
  const longest = max * (1 + jitter);
  if (safety.success && longest > safety.data.maxWait) {
    const wait = sayDuration(safety.data.maxWait);
    const message = `waits up to ${sayDuration(longest)} (max with jitter), but a waiting step is cancelled after safety.maxWait, ${wait}`;
    report(PROBLEMS.delayBeyondMaxWait, path, message, 'raise maxWait or lower delay.max');
  }
};

const reportRule = (
  path: Path,
  rule: RuleDocument,
  budgetNames: readonly string[],
  report: Report,
  warn: Warn,
): void => {
  reportEnd([...path, 'do'], rule.do, report);
  reportEnd([...path, 'exhausted'], rule.exhausted ?? [], report);
  reportAwaits(path, rule, report);
  const verbs = allVerbs(rule.do);
  if (rule.budget === undefined) {
    if (rule.exhausted !== undefined) {
      const message = 'exhausted without a budget is never used';
      report(
        PROBLEMS.exhaustedWithoutBudget,
        [...path, 'exhausted'],
        message,
        'add budget: NAME',
        'key',
      );
    }
    if (verbs.includes('restart')) {
      const message = `rule ${printable(rule.name)} restarts without a limit: a guest that dies at once is restarted for ever`;
      warn(WARNINGS.restartWithoutBudget, [...path, 'do'], message, 'add budget: NAME');
    }
    return;
  }
  if (!budgetNames.includes(rule.budget)) {
    const known =
      budgetNames.length === 0
        ? 'none is under spec.budgets'
        : `there are: ${budgetNames.join(', ')}`;
    const message = `no budget ${printable(rule.budget)}; ${known}`;
    const hint = didYouMean(rule.budget, budgetNames) || 'define it under spec.budgets';
    report(PROBLEMS.undefinedBudget, [...path, 'budget'], message, hint);
  }
  if (verbs.every((verb) => verb === 'notify')) {
    const message = 'a budget on a rule that does nothing; expected a step other than notify';
    report(PROBLEMS.budgetWithoutAct, [...path, 'budget'], message, 'leave the budget out', 'key');
  }
  for (const [index, step] of (rule.exhausted ?? []).entries()) {
    if (!allVerbs([step]).includes('restart')) continue;
    const message = 'restart under exhausted would go past the budget';
    report(
      PROBLEMS.exhaustedRestarts,
      [...path, 'exhausted', index],
      message,
      'use powerOff or hold',
    );
  }
};

/** `hold`, `notify` and `await` end a plan. */
const reportEnd = (
  path: Path,
  steps: readonly (StepDocument | OtherwiseDocument)[],
  report: Report,
): void => {
  for (const [index, step] of steps.slice(0, -1).entries()) {
    const verb = verbOf(step);
    if (verb !== 'hold' && verb !== 'notify' && verb !== 'await') continue;
    const message = `${verb} ends a plan, but ${verbOf(steps[index + 1])} follows`;
    report(PROBLEMS.stepsAfterEnd, [...path, index], message, `put ${verb} last`);
  }
};

const reportOtherwise = (root: unknown, report: Report, warn: Warn): void => {
  const path = ['spec', 'otherwise'];
  const steps = ruleSchema.shape.do.safeParse(valueAt(root, path));
  if (!steps.success) return;
  reportEnd(path, steps.data, report);
  const acting = steps.data.map(verbOf).filter((verb) => verb !== 'notify');
  if (acting.length === 0) return;
  const message = `otherwise does ${acting.join(', ')} without a budget, for each event that no rule answers, also SUSPEND and WAKEUP`;
  warn(WARNINGS.otherwiseActs, path, message, 'use [notify] and write rules');
};

/** Kubernetes' own rules: `In` and `NotIn` need values, the others have none. */
const reportSelector = (path: Path, vms: VmsDocument | undefined, report: Report): void => {
  for (const [index, { operator, values }] of (vms?.matchExpressions ?? []).entries()) {
    const here = [...path, 'matchExpressions', index];
    const needs = operator === 'In' || operator === 'NotIn';
    if (needs && (values === undefined || values.length === 0)) {
      report(PROBLEMS.selector, here, `${operator} without values; expected at least one`);
    }
    if (!needs && values !== undefined && values.length > 0) {
      const message = `${operator} with values; expected none`;
      report(PROBLEMS.selector, [...here, 'values'], message, 'use In or NotIn', 'key');
    }
  }
};

/** A plan that waits for an event ends with its `otherwise`, which is a plan like others. */
const reportAwaits = (path: Path, rule: RuleDocument, report: Report): void => {
  for (const key of ['do', 'exhausted'] as const) {
    for (const [index, step] of (rule[key] ?? []).entries()) {
      if (typeof step === 'string' || step.await === undefined) continue;
      reportEnd([...path, key, index, 'await', 'otherwise'], step.await.otherwise, report);
    }
  }
};

const reportMaintenance = (root: unknown, report: Report): void => {
  const path = ['spec', 'maintenance'];
  const list = valueAt(root, path);
  for (const [index, entry] of (Array.isArray(list) ? list : []).entries()) {
    const vms = vmsSchema.safeParse(valueAt(entry, ['vms']));
    if (vms.success) reportSelector([...path, index, 'vms'], vms.data, report);
  }
};

const reportSafety = (root: unknown, report: Report): void => {
  const path = ['spec', 'safety'];
  const safety = safetySchema.safeParse(valueAt(root, path) ?? {});
  if (!safety.success || safety.data.storm === undefined) return;
  const { storm, maxWait } = safety.data;
  if (storm.quiet <= maxWait) return;
  const message = `a restart would wait ${sayDuration(storm.quiet)} for a storm to end, but a waiting step is cancelled after safety.maxWait, ${sayDuration(maxWait)}`;
  report(
    PROBLEMS.delayBeyondMaxWait,
    [...path, 'storm', 'quiet'],
    message,
    'raise maxWait or lower quiet',
  );
};

/** Of the steps, and of those behind an `await`. */
const allVerbs = (steps: readonly StepDocument[]): readonly string[] =>
  steps.flatMap((step) => [
    verbOf(step),
    ...(typeof step === 'string' || step.await === undefined
      ? []
      : step.await.otherwise.map(verbOf)),
  ]);

const verbOf = (step: StepDocument | OtherwiseDocument | undefined): string =>
  typeof step === 'string' ? step : (Object.keys(step ?? {})[0] ?? 'nothing');
