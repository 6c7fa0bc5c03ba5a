import { ageMs, type Moment } from '../lib/clock.js';
import { usage } from '../policy/budget.js';
import type { Policy } from '../policy/policy.js';
import type { VmView } from './engine.js';
import type { VmRow } from './vm-row.js';

/** What is known of a VM now and kept in no row. */
export interface VmLive {
  readonly driver: string;
  readonly contact: VmView['contact'];
  readonly warnings: readonly string[];
}

/** For people and programs: the row in words. */
export const vmView = (row: VmRow, live: VmLive, policy: Policy, now: Moment): VmView => ({
  id: row.id,
  uid: row.uid,
  driver: live.driver,
  contact: live.contact,
  state: row.seen?.raw ?? 'unknown',
  bootId: row.seen?.bootId ?? '',
  bootEpoch: row.epoch,
  ...phaseOf(row),
  incident: row.incident?.id ?? '',
  budgets: budgetsOf(row, policy, now),
  nextAttemptMs: nextAttemptMs(row, now),
  warnings: live.warnings,
});

const phaseOf = (row: VmRow): Pick<VmView, 'phase' | 'reason'> => {
  const { incident } = row;
  if (incident !== null) {
    const verb = incident.plan[incident.index]?.verb ?? 'step';
    const what = `${verb} after ${incident.facts.event.type}, rule ${incident.rule || 'otherwise'}`;
    return incident.step.kind === 'planned'
      ? { phase: 'waiting', reason: `waits for ${what}` }
      : { phase: 'acting', reason: what };
  }
  if (row.hold !== null) return { phase: 'held', reason: row.hold.reason };
  return { phase: 'well', reason: row.remark };
};

const budgetsOf = (row: VmRow, policy: Policy, now: Moment): VmView['budgets'] =>
  Object.entries(row.attempts).flatMap(([name, attempts]) => {
    const tightest = usage(policy.budgets[name]?.limits ?? [], attempts, now);
    return tightest === null || tightest.used === 0
      ? []
      : [{ name, used: tightest.used, limit: tightest.limit }];
  });

const nextAttemptMs = (row: VmRow, now: Moment): number | null => {
  const step = row.incident?.step;
  return step?.kind === 'planned'
    ? Math.round(now.wallMs + Math.max(0, step.waitMs - ageMs(step.since, now)))
    : null;
};
