import type { Moment } from '../lib/clock.js';
import { own, usage, waitBefore } from '../policy/budget.js';
import type { Policy } from '../policy/policy.js';
import type { Outlook } from './engine.js';
import type { VmRow } from './vm-row.js';

/** Pure. null: the policy has no such budget. */
export const outlookOf = (
  policy: Policy,
  name: string,
  { attempts }: Pick<VmRow, 'attempts'>,
  now: Moment,
): Outlook | null => {
  const budget = own(policy.budgets, name);
  const spent = own(attempts, name) ?? [];
  const use = budget === undefined ? null : usage(budget.limits, spent, now);
  if (budget === undefined || use === null) return null;
  // What jitter makes of the delay shows only with the event: no less than this.
  const even = { ...budget, delay: { ...budget.delay, jitter: 0 } };
  const { delayMs } = waitBefore(even, spent, now, '');
  return {
    freeAtMs: use.exhausted ? now.wallMs + use.freeInMs : null,
    delayMs: Math.round(delayMs * (1 - budget.delay.jitter)),
  };
};
