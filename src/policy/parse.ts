import { sha256 } from '../lib/sha256.js';
import type { CompileCondition } from './condition.js';
import {
  type PolicyDocument,
  policySchema,
  type StepDocument,
  type VmsDocument,
} from './document.js';
import { reportMeaning } from './meaning.js';
import type { Budget, Condition, Policy, Rule, Step } from './policy.js';
import {
  formatPath,
  type Path,
  type PolicyProblem,
  type PolicyWarning,
  PROBLEMS,
  type ProblemId,
} from './problem.js';
import { reportConditions } from './report-conditions.js';
import type { Requirement, Selector } from './selector.js';
import { reportShape } from './shape.js';
import { readTree, type Tree } from './yaml-tree.js';

export type ParsedPolicy =
  | { readonly ok: true; readonly policy: Policy; readonly warnings: readonly PolicyWarning[] }
  /** At least one, in the order of the file. */
  | { readonly ok: false; readonly problems: readonly PolicyProblem[] };

/** More are cut off: nobody mends a hundred at once, and a hostile file has a million. */
export const MAX_PROBLEMS = 100;

/** Reads a policy file's text and tells everything that is wrong with it at once. Never throws. */
export const parsePolicy = (
  text: string,
  fileName: string,
  compile: CompileCondition,
): ParsedPolicy => {
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
    reportConditions(tree, compile, (path, offset, message, hint) => {
      problems.push({
        ...entry(PROBLEMS.condition, path, message, hint),
        ...tree.positionIn(path, offset),
      });
    });
    reportMeaning(tree.value, report, (id, path, message, hint) => {
      warnings.push(entry(id, path, message, hint));
    });
    if (shape.success && problems.length === 0) {
      return { ok: true, policy: toPolicy(shape.data, tree, sha256(text), compile), warnings };
    }
  }
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  return { ok: false, problems: problems.slice(0, MAX_PROBLEMS) };
};

const toPolicy = (
  document: PolicyDocument,
  tree: Tree,
  hash: string,
  compile: CompileCondition,
): Policy => {
  const { spec } = document;
  return {
    name: document.metadata.name,
    hash,
    mode: spec.mode,
    safety: toSafety(spec.safety),
    maintenance: spec.maintenance.map(({ vms, until, reason }) => ({
      reason,
      untilMs: until ?? null,
      vms: toSelector(vms),
    })),
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
        vms: toSelector(rule.vms),
        when: toCondition(rule.when, compile),
        do: rule.do.flatMap(toStep),
        budget: rule.budget ?? null,
        exhausted: (rule.exhausted ?? []).flatMap(toStep),
      }),
    ),
    otherwise: spec.otherwise.flatMap(toStep),
  };
};

const toSafety = (safety: PolicyDocument['spec']['safety']): Policy['safety'] => ({
  maxEventAgeMs: safety.maxEventAge,
  maxWaitMs: safety.maxWait,
  storm:
    safety.storm === undefined
      ? null
      : {
          vms: safety.storm.vms,
          percent: safety.storm.percent ?? null,
          withinMs: safety.storm.within,
          quietMs: safety.storm.quiet,
        },
  concurrent: {
    restarts: safety.concurrent.restarts ?? null,
    dumps: safety.concurrent.dumps ?? null,
  },
});

const toSelector = (vms: VmsDocument | undefined): Selector | null => {
  if (vms === undefined) return null;
  const labels = Object.entries(vms.matchLabels ?? {}).map(
    ([key, value]): Requirement => ({ key, operator: 'In', values: [value] }),
  );
  const expressions = (vms.matchExpressions ?? []).map(
    ({ key, operator, values }): Requirement =>
      operator === 'In' || operator === 'NotIn'
        ? { key, operator, values: values ?? [] }
        : { key, operator },
  );
  return { ids: vms.ids ?? null, requirements: [...labels, ...expressions] };
};

/** Its problems were told before this. */
const toCondition = (text: string | undefined, compile: CompileCondition): Condition | null => {
  if (text === undefined) return null;
  const compiled = compile(text);
  return compiled.ok ? compiled.condition : null;
};

const TIMEOUT_MS: Readonly<Record<Step['verb'], number>> = {
  dump: 600_000,
  powerOff: 60_000,
  restart: 30_000,
  pause: 30_000,
  resume: 30_000,
  nmi: 30_000,
  await: 30_000,
  hold: 30_000,
  notify: 30_000,
};

interface WrittenOptions {
  readonly timeout?: number | undefined;
  readonly retries?: number | undefined;
  readonly onFailure?: Step['onFailure'] | undefined;
  readonly in?: 'place' | 'process' | undefined;
}

type Written = StepDocument | AwaitDocument['otherwise'][number];
type AwaitDocument = NonNullable<Exclude<StepDocument, string>['await']>;

const toStep = (written: Written): Step[] => {
  const [word, options] =
    typeof written === 'string'
      ? [written, {}]
      : (Object.entries(written)[0] ?? (['', {}] satisfies [string, object]));
  if (word === 'await') return [toAwait(options as AwaitDocument)];
  return isVerb(word) ? [step(word, options as WrittenOptions)] : [];
};

type PlainVerb = Exclude<Step['verb'], 'await'>;

const isVerb = (word: string): word is PlainVerb =>
  Object.hasOwn(TIMEOUT_MS, word) && word !== 'await';

const toAwait = ({ event, timeout, otherwise }: AwaitDocument): Step => ({
  verb: 'await',
  event,
  otherwise: otherwise.flatMap(toStep),
  timeoutMs: timeout,
  retries: 0,
  onFailure: 'stop',
});

/** A step with the defaults of its verb. */
export const step = (verb: PlainVerb, options: WrittenOptions = {}): Step => {
  const common = {
    timeoutMs: options.timeout ?? TIMEOUT_MS[verb],
    retries: options.retries ?? 0,
    onFailure: options.onFailure ?? (verb === 'dump' ? 'continue' : 'stop'),
  } as const;
  return verb === 'restart' ? { verb, ...common, in: options.in ?? 'place' } : { verb, ...common };
};
