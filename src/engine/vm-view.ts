import { ageMs, type Moment } from '../lib/clock.js';
import { usage } from '../policy/budget.js';
import type { Policy } from '../policy/policy.js';
import { unmetRules, wantedTakeOver } from '../policy/take-over.js';
import type { GuestState, TakeOver } from '../vmm/driver.js';
import type { VmView } from './engine.js';
import type { VmRow } from './vm-row.js';

/** What is known of a VM now and kept in no row. */
export interface VmLive {
  readonly driver: string;
  readonly contact: VmView['contact'];
  /** The driver's own. */
  readonly warnings: readonly string[];
  /** For which events the VMM was started to let the guest wait; null: not known. */
  readonly startedToWait: TakeOver | null;
  /** The operator lets vmwarden take over. */
  readonly takeOver: boolean;
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
  hold:
    row.hold === null
      ? null
      : { atMs: row.hold.at.wallMs, actor: row.hold.actor ?? '', reason: row.hold.reason },
  warnings: [...live.warnings, ...policyWarnings(live, policy)],
});

/** Rules that can't take effect on this VM, because its VMM acts before vmwarden can. */
const policyWarnings = (
  { contact, startedToWait, takeOver }: VmLive,
  policy: Policy,
): readonly string[] => {
  if (contact !== 'connected') return [];
  const taken = takeOver ? wantedTakeOver(policy) : null;
  const waits = (event: keyof TakeOver): boolean =>
    startedToWait?.[event] === true || taken?.[event] === true;
  const unmet = unmetRules(policy, {
    panicPauses: waits('panic'),
    shutdownPauses: waits('shutdown'),
    watchdogPauses: waits('watchdog'),
  });
  return startedToWait === null
    ? unmet.map((sentence) => `Unless its VMM was started so that this holds: ${sentence}`)
    : unmet;
};

/** Stopped for good, unless somebody does something. */
const DOWN: ReadonlySet<GuestState> = new Set(['panicked', 'watchdog', 'error']);

const phaseOf = (row: VmRow): Pick<VmView, 'phase' | 'reason'> => {
  const { incident } = row;
  if (incident !== null) {
    const verb = incident.plan[incident.index]?.verb ?? 'step';
    const { operator } = incident;
    if (operator !== undefined) {
      return {
        phase: 'acting',
        reason: `${verb} asked for by ${operator.actor}: ${operator.reason}`,
      };
    }
    const what = `${verb} after ${incident.facts.event.type}, rule ${incident.rule || 'otherwise'}`;
    return incident.step.kind === 'planned'
      ? { phase: 'waiting', reason: `waits for ${what}` }
      : { phase: 'acting', reason: what };
  }
  if (row.hold !== null) {
    const { actor, reason } = row.hold;
    return { phase: 'held', reason: actor === undefined ? reason : `by ${actor}: ${reason}` };
  }
  return { phase: DOWN.has(row.seen?.state ?? 'unknown') ? 'down' : 'well', reason: row.remark };
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
