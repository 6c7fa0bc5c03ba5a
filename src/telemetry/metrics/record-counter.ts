import { stat } from 'node:fs/promises';
import type { Committed, Tap } from '../../engine/tap.js';
import {
  type Decision,
  Disposition,
  type EventRecord,
  PolicyMode,
  type Record,
  StepState,
  type StepUpdate,
} from '../../gen/vmwarden/v1/record.js';
import { Anomaly, EventType, Origin } from '../../gen/vmwarden/v1/system_event.js';
import type { Sequence } from '../../journal/journal.js';
import type { Clock } from '../../lib/clock.js';
import { isFault } from '../../lib/fault.js';
import type { Policy } from '../../policy/policy.js';
import { IncidentTimes } from './incident-times.js';
import type { Counting } from './instruments.js';
import { RuleSeries } from './rule-series.js';

interface Noted extends Committed {
  /** Monotonic. */
  readonly durableMs: number;
}

/** A reporter may date an event as it likes; of what is older than this only that much counts. */
const MAX_AGE_MS = 3_600_000;

/** Counts what becomes durable. Notes it down at once, and counts behind the act that a guest waits for. */
export class RecordCounter implements Tap {
  readonly #counting: Counting;
  readonly #clock: Clock;
  readonly #times = new IncidentTimes();
  readonly #rules: RuleSeries;
  #noted: Noted[] = [];

  constructor(counting: Counting, clock: Clock) {
    this.#counting = counting;
    this.#clock = clock;
    this.#rules = new RuleSeries(counting);
    for (const verb of VERBS) {
      for (const outcome of OUTCOMES.values()) {
        counting.count('vmwarden_steps_total', { verb, outcome }, 0);
      }
    }
    counting.count('vmwarden_loss_markers_total', { place: 'intake' }, 0);
  }

  committed(commit: Committed): void {
    if (this.#noted.length === 0) setImmediate(() => this.#countAll());
    this.#noted.push({ ...commit, durableMs: this.#clock.now().monoMs });
  }

  failed(error: unknown): void {
    const reason = isFault(error) && error.reason.startsWith('JOURNAL_') ? error.reason : 'OTHER';
    this.#counting.count('vmwarden_journal_commit_failures_total', { reason });
  }

  policyInForce(policy: Policy): void {
    // What was decided by the one before is to be counted under its rules.
    this.#countAll();
    this.#rules.inForce(policy);
  }

  #countAll(): void {
    const noted = this.#noted;
    this.#noted = [];
    for (const commit of noted) {
      const { kind, records, first, elapsedMs, durableMs } = commit;
      try {
        this.#counting.observe('vmwarden_journal_commit_seconds', { kind }, elapsedMs / 1000);
        for (const [at, record] of records.entries()) this.#count(record, first + at, durableMs);
      } catch {
        // A number that can't be counted must not end the program that guards the guests.
        this.#counting.count('vmwarden_collect_failures_total', { group: 'records' });
      }
    }
  }

  #count(record: Record, sequence: Sequence, nowMs: number): void {
    const { body } = record;
    switch (body?.$case) {
      case 'event':
        this.#event(record, body.value, sequence);
        return;
      case 'decision':
        this.#decision(record, body.value, nowMs);
        return;
      case 'step':
        this.#step(record, body.value, nowMs);
        return;
      case 'operator':
        this.#counting.count('vmwarden_operator_acts_total', { verb: body.value.verb });
        return;
      case 'loss':
        this.#counting.count('vmwarden_loss_markers_total', { place: 'intake' });
        return;
      case 'vm':
      case 'policy':
      case 'host':
      case undefined:
    }
  }

  #event(record: Record, event: EventRecord, sequence: Sequence): void {
    const type = wordOf(EventType, event.event?.type ?? 0);
    const count = Math.max(1, event.count);
    const origin = wordOf(Origin, event.origin);
    const disposition = DISPOSITIONS.get(event.disposition) ?? 'other';
    this.#counting.count('vmwarden_events_total', { type, origin, disposition }, count);
    if (count > 1) this.#counting.count('vmwarden_events_folded_total', {}, count - 1);
    for (const anomaly of event.event?.anomalies ?? []) {
      const labels = { type, anomaly: wordOf(Anomaly, anomaly) };
      this.#counting.count('vmwarden_event_anomalies_total', labels, count);
    }
    if (event.disposition === Disposition.DECIDED) {
      this.#times.event(sequence, Number(record.monotonicUs) / 1000 - ageMs(record, event));
    }
  }

  #decision({ vmId, incidentId }: Record, decision: Decision, nowMs: number): void {
    this.#rules.decided(decision.rule, decision.policyHash, answerOf(decision));
    const event = Number(decision.eventSequence);
    const answer = { incident: incidentId, event, delayed: isDelayed(decision) };
    const took = this.#times.decided(vmId, answer, nowMs);
    if (took !== null) this.#counting.observe('vmwarden_event_to_decision_seconds', {}, took);
  }

  #step({ vmId, incidentId }: Record, step: StepUpdate, nowMs: number): void {
    const { verb, state } = step;
    if (state === StepState.STARTED) {
      const took = this.#times.acted(vmId, incidentId, nowMs);
      if (took === null) return;
      const delayed = String(took.delayed);
      this.#counting.observe('vmwarden_event_to_act_seconds', { delayed }, took.seconds);
      return;
    }
    const outcome = OUTCOMES.get(state);
    if (outcome === undefined) return;
    this.#counting.count('vmwarden_steps_total', { verb, outcome });
    const seconds = Number(step.elapsedNs) / 1e9;
    if (seconds > 0) this.#counting.observe('vmwarden_step_duration_seconds', { verb }, seconds);
    const good = state === StepState.APPLIED || state === StepState.ALREADY;
    if (good && RECOVERING.has(verb)) this.#recovered(vmId, incidentId, nowMs);
    if (state === StepState.APPLIED && verb === 'dump') this.#dumped(step.path);
  }

  #recovered(vm: string, incident: string, nowMs: number): void {
    const took = this.#times.recovered(vm, incident, nowMs);
    if (took === null) return;
    const delayed = String(took.delayed);
    this.#counting.observe('vmwarden_event_to_recovered_seconds', { delayed }, took.seconds);
  }

  #dumped(path: string): void {
    stat(path).then(
      ({ size }) => this.#counting.count('vmwarden_dump_bytes_total', {}, size),
      () => {
        // Only the VMM sees it: its bytes are not known here.
      },
    );
  }
}

const VERBS = ['restart', 'dump', 'powerOff', 'pause', 'resume', 'nmi', 'hold'];

/** Steps after which a guest boots or runs again. */
const RECOVERING: ReadonlySet<string> = new Set(['restart', 'resume']);

const OUTCOMES: ReadonlyMap<StepState, string> = new Map([
  [StepState.APPLIED, 'applied'],
  [StepState.ALREADY, 'already'],
  [StepState.UNSUPPORTED, 'unsupported'],
  [StepState.FAILED, 'failed'],
  [StepState.UNVERIFIED, 'unverified'],
  [StepState.CANCELLED, 'cancelled'],
]);

const DISPOSITIONS: ReadonlyMap<Disposition, string> = new Map([
  [Disposition.DECIDED, 'decided'],
  [Disposition.JOINED, 'joined'],
  [Disposition.BURST, 'burst'],
  [Disposition.OLDER_BOOT, 'olderBoot'],
]);

const wordOf = (words: Readonly<{ [number: number]: string }>, value: number): string =>
  words[value] ?? 'other';

/** How old the event was when it was journaled, as its source dates it. */
const ageMs = ({ recordedAt }: Record, { occurredAt, firstAt }: EventRecord): number => {
  const saidMs = (firstAt ?? occurredAt)?.getTime();
  const age = saidMs === undefined ? 0 : (recordedAt?.getTime() ?? saidMs) - saidMs;
  return Math.min(MAX_AGE_MS, Math.max(0, age));
};

const isDelayed = ({ notBefore, outOfReach }: Decision): boolean =>
  notBefore !== undefined || outOfReach;

const answerOf = (decision: Decision): string => {
  if (decision.budget?.exhausted === true) return 'exhausted';
  if (decision.plan.length === 0) return 'notify';
  if (decision.mode === PolicyMode.OBSERVE) return 'observed';
  return isDelayed(decision) ? 'delayed' : 'act';
};
