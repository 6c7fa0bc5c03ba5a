import type { CaseAnswer } from '../../engine/replay/run-case.js';
import { sayDuration } from '../../lib/duration.js';
import type { CaseEvent } from '../../policy/cases.js';

export interface Unmet {
  /** Below the event's `expect`. */
  readonly field: string;
  readonly expected: string;
  readonly got: string;
}

/** What of an event's `expect` does not hold. */
export const unmet = ({ expect }: CaseEvent, answer: CaseAnswer): readonly Unmet[] => {
  const { decision, row } = answer;
  const budget = decision?.budget;
  const got: Readonly<Record<string, unknown>> = {
    decided: decision !== null,
    rule: decision === null ? undefined : decision.rule || null,
    plan: decision?.plan.map(({ verb }) => verb),
    act: answer.acts,
    'budget.name': budget?.name ?? null,
    'budget.before': budget?.before ?? null,
    'budget.after': budget?.after ?? null,
    'budget.exhausted': budget?.exhausted ?? false,
    held: row !== null && row.hold !== null,
    phase: phaseOf(answer),
  };
  const { nextAttempt, budget: wanted, ...rest } = expect;
  const fields = Object.entries({
    ...rest,
    ...Object.fromEntries(
      Object.entries(wanted ?? {}).map(([key, value]) => [`budget.${key}`, value]),
    ),
  });
  const found = fields.flatMap(([field, expected]) =>
    expected === undefined || say(expected) === say(got[field])
      ? []
      : [{ field, expected: say(expected), got: say(got[field]) }],
  );
  return [...found, ...wrongWait(nextAttempt, answer)];
};

const wrongWait = (
  wanted: CaseEvent['expect']['nextAttempt'],
  { decision }: CaseAnswer,
): readonly Unmet[] => {
  if (wanted === undefined) return [];
  const range = typeof wanted === 'number' ? { from: wanted, to: wanted } : wanted;
  const waitMs =
    decision?.notBefore === undefined
      ? 0
      : decision.notBefore.getTime() - (decision.now?.getTime() ?? 0);
  if (decision !== null && waitMs >= range.from && waitMs <= range.to) return [];
  const expected =
    range.from === range.to
      ? sayDuration(range.from)
      : `${sayDuration(range.from)} to ${sayDuration(range.to)}`;
  const got = decision === null ? 'no decision' : sayDuration(waitMs);
  return [{ field: 'nextAttempt', expected, got }];
};

const phaseOf = ({ row }: CaseAnswer): string => {
  if (row?.incident?.step.kind === 'planned') return 'waiting';
  if (row?.incident != null) return 'acting';
  return row?.hold != null ? 'held' : 'well';
};

const say = (value: unknown): string => {
  if (value === undefined) return 'no decision';
  if (value === null) return 'none';
  return Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
};
