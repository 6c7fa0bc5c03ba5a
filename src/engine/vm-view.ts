import { ageMs, type Moment } from '../lib/clock.js';
import { own, usage } from '../policy/budget.js';
import { modeFor } from '../policy/maintenance.js';
import type { Policy } from '../policy/policy.js';
import type { VmIdentity } from '../policy/selector.js';
import { unmetRules, wantedTakeOver } from '../policy/take-over.js';
import { unableSteps } from '../policy/unable-steps.js';
import type { Capabilities, GuestState, TakeOver } from '../vmm/driver.js';
import { isAwaiting } from './awaiting.js';
import type { VmView } from './engine.js';
import { WAIT_TEXT, type WaitReason } from './gate.js';
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
  /** What its driver can do; absent: not known. */
  readonly abilities?: Capabilities['verbs'];
  /** The configuration's; absent: none. */
  readonly labels?: VmIdentity['labels'];
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
  warnings: [...live.warnings, ...policyWarnings(identityOf(row, live), live, policy, now)],
});

const identityOf = ({ id, uid }: VmRow, { labels }: VmLive): VmIdentity => ({
  id,
  uid,
  labels: labels ?? {},
});

/** Rules that can't take effect on this VM, because its VMM acts before vmwarden can. */
const policyWarnings = (
  identity: VmIdentity,
  { contact, startedToWait, takeOver, abilities }: VmLive,
  policy: Policy,
  now: Moment,
): readonly string[] => {
  if (contact !== 'connected' || modeFor(policy, identity, now.wallMs) !== 'enforce') return [];
  const taken = takeOver ? wantedTakeOver(policy, identity, now.wallMs) : null;
  const waits = (event: keyof TakeOver): boolean =>
    startedToWait?.[event] === true || taken?.[event] === true;
  const unmet = unmetRules(policy, identity, {
    panicPauses: waits('panic'),
    shutdownPauses: waits('shutdown'),
    watchdogPauses: waits('watchdog'),
  });
  return [
    ...(startedToWait === null
      ? unmet.map((sentence) => `Unless its VMM was started so that this holds: ${sentence}`)
      : unmet),
    ...unableSteps(policy, identity, abilities ?? {}),
  ];
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
      ? { phase: 'waiting', reason: `waits for ${what}${whyLater(incident.waitsFor)}` }
      : isAwaiting(incident)
        ? { phase: 'waiting', reason: what }
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
    const tightest = usage(own(policy.budgets, name)?.limits ?? [], attempts, now);
    return tightest === null || tightest.used === 0
      ? []
      : [{ name, used: tightest.used, limit: tightest.limit }];
  });

const nextAttemptMs = (row: VmRow, now: Moment): number | null => {
  const step = row.incident?.step;
  const incident = row.incident;
  if (incident !== null && step?.kind === 'started' && isAwaiting(incident)) {
    const timeoutMs = incident.plan[incident.index]?.timeoutMs ?? 0;
    return Math.round(now.wallMs + Math.max(0, timeoutMs - ageMs(step.at, now)));
  }
  // How long a step waits for the host nobody can tell.
  if (step?.kind !== 'planned' || (incident?.waitsFor ?? null) !== null) return null;
  return Math.round(now.wallMs + Math.max(0, step.waitMs - ageMs(step.since, now)));
};

const whyLater = (reason: WaitReason | null): string =>
  reason === null ? '' : `: ${WAIT_TEXT[reason]}`;
