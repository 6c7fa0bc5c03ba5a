import type { Violation } from '../lib/fault.js';
import { badInput } from './bad-input.js';
import type { ConsumeSettings } from './consume.js';
import { filterProblems } from './filter-problems.js';
import type { ConsumeOptions } from './fleet.js';

const NAME = /^[a-zA-Z0-9._-]{1,64}$/;
const NAME_EXPECTED = '1 to 64 characters of a-z A-Z 0-9 . _ -';

/** Every option said, and each in its range. Throws FLEET_BAD_INPUT with all that is wrong. */
export const consumeSettings = (options: ConsumeOptions): ConsumeSettings => {
  const { signal: _signal, ...given } = options;
  const settings: ConsumeSettings = {
    from: 'beginning',
    filter: {},
    readAhead: 64,
    takeoverAfterMs: 15_000,
    maxAttempts: 5,
    retryDelayMs: 1000,
    minReplicas: 0,
    ackTimeoutMs: 30_000,
    onTrouble: () => undefined,
    ...given,
  };
  const violations: Violation[] = [
    ...nameProblem('group', settings.group),
    ...nameProblem('consumer', settings.consumer),
    ...rangeProblem('readAhead', settings.readAhead, 2, 4096),
    ...rangeProblem('takeoverAfterMs', settings.takeoverAfterMs, 1000, 600_000),
    ...rangeProblem('maxAttempts', settings.maxAttempts, 1, 100),
    ...rangeProblem('retryDelayMs', settings.retryDelayMs, 1, 60_000),
    ...rangeProblem('minReplicas', settings.minReplicas, 0, 16),
    ...rangeProblem('ackTimeoutMs', settings.ackTimeoutMs, 100, 600_000),
    ...fromProblem(settings.from),
    ...filterProblems(settings.filter),
  ];
  if (violations.length > 0) throw badInput(violations);
  return settings;
};

const nameProblem = (field: string, name: unknown): Violation[] =>
  typeof name === 'string' && NAME.test(name)
    ? []
    : [{ field, value: JSON.stringify(name) ?? 'absent', expected: NAME_EXPECTED }];

const rangeProblem = (field: string, value: number, least: number, most: number): Violation[] =>
  Number.isInteger(value) && value >= least && value <= most
    ? []
    : [{ field, value: String(value), expected: `a whole number from ${least} to ${most}` }];

const fromProblem = (from: ConsumeSettings['from']): Violation[] => {
  if (from === 'beginning' || from === 'now') return [];
  const after: unknown = typeof from === 'object' ? from?.after : undefined;
  if (!Array.isArray(after)) {
    return [
      {
        field: 'from',
        value: JSON.stringify(from) ?? 'absent',
        expected: 'beginning, now, or { after: [{ host, journalId, sequence }] }',
      },
    ];
  }
  return after.flatMap(
    (identity: { sequence?: unknown; journalId?: unknown; host?: unknown }, index) =>
      typeof identity?.host === 'string' &&
      typeof identity.journalId === 'string' &&
      Number.isSafeInteger(identity.sequence) &&
      Number(identity.sequence) >= 0
        ? []
        : [
            {
              field: `from.after[${index}]`,
              value: JSON.stringify(identity) ?? 'absent',
              expected: '{ host, journalId, sequence }',
            },
          ],
  );
};
