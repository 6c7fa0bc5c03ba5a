import { backoffMs } from '../lib/backoff.js';
import { ageMs } from '../lib/clock.js';
import { jitter } from '../lib/jitter.js';
import type { Step } from '../policy/policy.js';
import type { Outcome } from '../vmm/driver.js';
import {
  answer,
  begin,
  type Change,
  charged,
  close,
  placeOf,
  refunded,
  type Stamp,
} from './answer.js';
import { outcomeRecord, startedRecord } from './records.js';
import { type Incident, isOfEarlierLife, type VmRow } from './vm-row.js';

/** Wait before the first retry of a failed step; doubles with each further one, at most 30 s. */
const RETRY_BASE_MS = 500;
const RETRY_MAX_MS = 30_000;

export interface Done {
  readonly outcome: Outcome;
  readonly elapsedNs: bigint;
  /** Where a dump is; empty otherwise. */
  readonly path: string;
}

/** Takes a step's outcome in: the next step's intent, a retry, or the incident's end, in one commit. Pure. */
export const advance = (row: VmRow, done: Done, stamp: Stamp): Change => {
  const { incident } = row;
  if (incident === null) return { row, records: [] };
  const { outcome } = done;
  const step = incident.plan[incident.index];
  const attempt = incident.step.attempt;
  const good = outcome.kind === 'applied' || outcome.kind === 'already';
  const unrun = outcome.kind === 'unsupported' || outcome.kind === 'cancelled';
  // Waiting does nothing to the guest.
  const ran = incident.ran || (!unrun && step?.verb !== 'await');
  const after = provenBoot({ ...row, incident: { ...incident, ran } }, outcome, step?.verb);
  const noted = (change: Change, refunds = ''): Change => {
    const place = placeOf(row.id, incident, attempt);
    const record = outcomeRecord(stamp.now, place, outcome, done.elapsedNs, done.path, refunds);
    return withRecord(record)(change);
  };

  const off = incident.calledOff !== undefined;
  const retryable =
    !off &&
    outcome.kind === 'failed' &&
    (attempt <= (step?.retries ?? 0) || isOutOfReach(outcome, step));
  if (retryable) return noted({ row: retry(after, incident.id, attempt, stamp), records: [] });

  if (!off && step?.verb === 'await' && !good && outcome.kind !== 'cancelled') {
    return noted(otherwise(after, incident, step.otherwise, stamp));
  }

  // What was called off is not a failure to go on from.
  if (
    !off &&
    ((good && step?.verb !== 'await') ||
      (step?.onFailure === 'continue' && outcome.kind !== 'cancelled'))
  ) {
    const index = incident.index + 1;
    const barred = bars(stamp);
    if (index < incident.plan.length) {
      const next = nextStep(after, index, stamp);
      return noted(
        barred === null
          ? begin(next, stamp)
          : advance(next, { outcome: barred, elapsedNs: 0n, path: '' }, stamp),
      );
    }
  }
  const refunds = ran || !incident.charged ? null : incident.budget;
  const settled =
    refunds === null ? after : { ...after, attempts: refunded(after.attempts, refunds) };
  const carriedOut = good || outcome.kind === 'unverified';
  return noted(close(settled, remarkOf(incident, outcome, good), carriedOut, stamp), refunds ?? '');
};

/** What was awaited did not come: the rest is the plan now, after what is left of the budget's delay. */
const otherwise = (
  row: VmRow,
  incident: Incident,
  steps: readonly Step[],
  stamp: Stamp,
): Change => {
  const index = incident.index + 1;
  const waitMs = Math.max(0, incident.delayMs - ageMs(incident.openedAt, stamp.now));
  const plan = [...incident.plan.slice(0, index), ...steps.filter(({ verb }) => verb !== 'notify')];
  if (plan.length === index) return close(row, '', true, stamp);
  const next: VmRow = {
    ...row,
    incident: {
      ...incident,
      plan,
      index,
      step: { kind: 'planned', since: stamp.now, waitMs, attempt: 1 },
      waitsFor: null,
      waitingSince: stamp.now,
    },
  };
  const barred = bars(stamp);
  if (barred !== null) return advance(next, { outcome: barred, elapsedNs: 0n, path: '' }, stamp);
  return waitMs > 0 || !stamp.reachable ? { row: next, records: [] } : begin(next, stamp);
};

/**
 * The VMM could not be spoken to, and nothing reached the guest: that is no answer to its death. The step waits for the
 * VMM, until `maxWait`; one that the plan can do without (a dump) does not keep a guest down.
 */
const isOutOfReach = (outcome: Outcome, step: Step | undefined): boolean =>
  outcome.kind === 'failed' &&
  step?.onFailure === 'stop' &&
  (outcome.reason === 'NOT_CONNECTED' ||
    outcome.reason === 'VMM_SILENT' ||
    outcome.reason === 'DEADLINE_EXCEEDED');

/** The same step once more, in a life of vmwarden's that found its intent without an outcome. */
export const again = (row: VmRow, incident: Incident, pays: boolean, stamp: Stamp): Change => {
  const { step } = incident;
  const attempt = step.attempt + 1;
  const takesUp = (step.kind === 'started' ? step.takesUp : undefined) ?? step.attempt;
  const budget = pays ? incident.budget : null;
  return {
    row: {
      ...row,
      attempts: budget === null ? row.attempts : charged(row.attempts, budget, stamp.now),
      incident: {
        ...incident,
        step: { kind: 'started', at: stamp.now, attempt, takesUp, bootId: row.seen?.bootId ?? '' },
      },
    },
    records: [startedRecord(stamp.now, placeOf(row.id, incident, attempt), budget ?? '')],
  };
};

/** What an earlier life may have done can't be taken as not done: its attempt stays charged. */
export const ranMaybe = (row: VmRow): VmRow =>
  row.incident === null ? row : { ...row, incident: { ...row.incident, ran: true } };

/**
 * A waiting step that has waited too long, or whose policy now only observes, is not run any more; nor is one of an
 * earlier life (this one is `driverLife`) whose guest has booted since, by whoever's hand.
 */
export const lapsed = (
  { epoch }: Pick<VmRow, 'epoch'>,
  incident: Incident,
  driverLife: string,
  stamp: Stamp,
): Outcome | null => {
  const { policy, now } = stamp;
  const barred = bars(stamp);
  if (barred !== null) return barred;
  const { facts } = incident;
  if (isOfEarlierLife(facts, driverLife) && epoch > facts.epoch) {
    return cancelled('BOOTED_SINCE', `boot epoch ${epoch} after ${facts.epoch}`);
  }
  const waited = ageMs(incident.waitingSince, now);
  return waited > policy.safety.maxWaitMs
    ? cancelled('WAITED_TOO_LONG', `waited ${Math.round(waited / 1000)} s, more than maxWait`)
    : null;
};

export const cancelled = (reason: string, message: string): Outcome => ({
  kind: 'cancelled',
  reason,
  message,
  proof: [],
});

/** Why no step of a policy's is begun on this host now. */
const bars = ({ mode, hostHeld }: Stamp): Outcome | null => {
  if (mode === 'observe') {
    return cancelled('POLICY_OBSERVES', 'the policy only observes now');
  }
  return hostHeld ? cancelled('HOST_HELD', 'the host is held') : null;
};

/** No attempt is left to run it again with: the event is put to the policy once more. */
export const exhaust = (row: VmRow, incident: Incident, outcome: Outcome, stamp: Stamp): Change => {
  const place = placeOf(row.id, incident, incident.step.attempt);
  return withRecord(outcomeRecord(stamp.now, place, outcome, 0n, ''))(
    answer({ ...row, incident: null }, incident.facts, stamp),
  );
};

const provenBoot = (row: VmRow, outcome: Outcome, verb: string | undefined): VmRow => {
  const { incident } = row;
  const state =
    outcome.kind === 'applied' || outcome.kind === 'already' ? outcome.state : 'unknown';
  const seen =
    row.seen === null || state === 'unknown' ? row.seen : { ...row.seen, state, raw: state };
  // The RESET that proves a restart has usually raised the epoch on its own by now.
  const raised =
    verb === 'restart' &&
    outcome.kind === 'applied' &&
    incident !== null &&
    // A new process is told as a connect, which raises it.
    !isInProcess(incident) &&
    row.epoch === incident.facts.epoch;
  return { ...row, seen, epoch: row.epoch + (raised ? 1 : 0) };
};

const isInProcess = ({ plan, index }: Incident): boolean => {
  const step = plan[index];
  return step?.verb === 'restart' && step.in === 'process';
};

const nextStep = (row: VmRow, index: number, stamp: Stamp): VmRow =>
  row.incident === null
    ? row
    : {
        ...row,
        incident: {
          ...row.incident,
          index,
          waitsFor: null,
          step: { kind: 'planned', since: stamp.now, waitMs: 0, attempt: 1 },
        },
      };

const retry = (row: VmRow, id: string, attempt: number, stamp: Stamp): VmRow =>
  row.incident === null
    ? row
    : {
        ...row,
        incident: {
          ...row.incident,
          step: {
            kind: 'planned',
            since: stamp.now,
            waitMs: backoffMs(attempt, RETRY_BASE_MS, RETRY_MAX_MS, () => jitter(id, attempt)),
            attempt: attempt + 1,
          },
        },
      };

const remarkOf = (incident: Incident, outcome: Outcome, good: boolean): string => {
  if (good) return '';
  const verb = incident.plan[incident.index]?.verb ?? 'step';
  const why = 'message' in outcome ? `${outcome.reason}: ${outcome.message}` : '';
  return `${verb} of incident ${incident.id} ended ${outcome.kind} (${why})`;
};

const withRecord =
  (record: Change['records'][number]) =>
  (change: Change): Change => ({ row: change.row, records: [record, ...change.records] });
