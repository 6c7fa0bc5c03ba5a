import { sha256 } from '../lib/sha256.js';
import { type PolicyDocument, policySchema, type StepDocument } from './document.js';
import { reportMeaning } from './meaning.js';
import type { Budget, Policy, Rule, Step } from './policy.js';
import {
  formatPath,
  type Path,
  type PolicyProblem,
  type PolicyWarning,
  PROBLEMS,
  type ProblemId,
} from './problem.js';
import { reportShape } from './shape.js';
import { reportUnsupported } from './unsupported.js';
import { readTree, type Tree } from './yaml-tree.js';

export type ParsedPolicy =
  | { readonly ok: true; readonly policy: Policy; readonly warnings: readonly PolicyWarning[] }
  /** At least one, in the order of the file. */
  | { readonly ok: false; readonly problems: readonly PolicyProblem[] };

/** More are cut off: nobody mends a hundred at once, and a hostile file has a million. */
export const MAX_PROBLEMS = 100;

/** Reads a policy file's text and tells everything that is wrong with it at once. Never throws. */
export const parsePolicy = (text: string, fileName: string): ParsedPolicy => {
  const { tree, problems: unreadable, complete } = readTree(text);
  const problems: PolicyProblem[] = unreadable.map((problem) => ({
    ...problem,
    file: fileName,
    path: formatPath(problem.path),
  }));
  const warnings: PolicyWarning[] = [];
  const entry = <Id>(
    id: Id,
    path: Path,
    message: string,
    hint = '',
    part: 'key' | 'value' = 'value',
  ) => ({
    id,
    file: fileName,
    ...tree.positionOf(path, part),
    path: formatPath(path),
    message,
    hint,
  });
  const report = (id: ProblemId, ...rest: [Path, string, string?, ('key' | 'value')?]): void => {
    problems.push(entry(id, ...rest));
  };

  if (complete && tree.value === null) {
    report(
      PROBLEMS.missing,
      [],
      'the file is empty; expected a policy',
      'see: vmwarden policy init',
    );
  } else if (complete) {
    const shape = policySchema.safeParse(tree.value);
    if (!shape.success) reportShape(shape.error.issues, tree.value, report);
    reportUnsupported(tree.value, report);
    reportMeaning(tree.value, report, (id, path, message, hint) => {
      warnings.push(entry(id, path, message, hint));
    });
    if (shape.success && problems.length === 0) {
      return { ok: true, policy: toPolicy(shape.data, tree, sha256(text)), warnings };
    }
  }
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  return { ok: false, problems: problems.slice(0, MAX_PROBLEMS) };
};

const toPolicy = (document: PolicyDocument, tree: Tree, hash: string): Policy => {
  const { spec } = document;
  return {
    name: document.metadata.name,
    hash,
    mode: spec.mode,
    safety: { maxEventAgeMs: spec.safety.maxEventAge, maxWaitMs: spec.safety.maxWait },
    budgets: Object.fromEntries(
      Object.entries(spec.budgets).map(([name, budget]): [string, Budget] => [
        name,
        {
          limits: budget.limits.map(({ attempts, within }) => ({ attempts, withinMs: within })),
          stableAfterMs: budget.stableAfter,
          delay: {
            baseMs: budget.delay.base,
            factor: budget.delay.factor,
            maxMs: budget.delay.max,
            jitter: budget.delay.jitter,
          },
        },
      ]),
    ),
    rules: spec.rules.map(
      (rule, index): Rule => ({
        name: rule.name,
        line: tree.positionOf(['spec', 'rules', index], 'value').line,
        on: rule.on,
        initiator: rule.initiator,
        origin: rule.origin ?? null,
        anomaly: rule.anomaly ?? null,
        do: rule.do.flatMap(toStep),
        budget: rule.budget ?? null,
        exhausted: (rule.exhausted ?? []).flatMap(toStep),
      }),
    ),
    otherwise: spec.otherwise.flatMap(toStep),
  };
};

const TIMEOUT_MS: Readonly<Record<Step['verb'], number>> = {
  dump: 600_000,
  powerOff: 60_000,
  restart: 30_000,
  pause: 30_000,
  resume: 30_000,
  hold: 30_000,
  notify: 30_000,
};

interface StepOptions {
  readonly timeout?: number | undefined;
  readonly retries?: number | undefined;
  readonly onFailure?: Step['onFailure'] | undefined;
}

const toStep = (document: StepDocument): Step[] => {
  const [word, options] =
    typeof document === 'string'
      ? [document, {}]
      : (Object.entries(document)[0] ?? (['', {}] satisfies [string, object]));
  if (!isVerb(word)) return []; // nmi and await: refused before this
  return [step(word, options as StepOptions)];
};

const isVerb = (word: string): word is Step['verb'] => Object.hasOwn(TIMEOUT_MS, word);

/** A step with the defaults of its verb. */
export const step = (verb: Step['verb'], options: StepOptions = {}): Step => ({
  verb,
  timeoutMs: options.timeout ?? TIMEOUT_MS[verb],
  retries: options.retries ?? 0,
  onFailure: options.onFailure ?? (verb === 'dump' ? 'continue' : 'stop'),
});
