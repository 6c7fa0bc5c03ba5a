import {
  Contact,
  type Decision,
  type PolicyRevision,
  type Record,
  StepState,
  type StepUpdate,
  type VmUpdate,
} from '../../gen/vmwarden/v1/record.js';
import type { Moment } from '../../lib/clock.js';
import type { Policy } from '../../policy/policy.js';
import type { Outcome } from '../../vmm/driver.js';
import { advance, again, exhaust, ranMaybe } from '../advance.js';
import { begin, type Change } from '../answer.js';
import { plannedStep } from '../records.js';
import type { Facts, Incident, VmRow } from '../vm-row.js';
import { Lives } from './lives.js';
import { operate } from './operate.js';
import { eventOf, outcomeOf } from './recorded.js';

export interface Sequenced {
  readonly sequence: number;
  readonly record: Record;
}

export interface Decided {
  readonly vm: string;
  /** Of the incident that it opens; empty: none. */
  readonly incident: string;
  readonly facts: Facts;
  readonly decision: Decision;
}

/** A step that began, under the rule that planned it (empty: `otherwise`). */
export interface Begun {
  readonly vm: string;
  readonly rule: string;
  readonly verb: string;
  /** Sequence of the event that is answered. */
  readonly event: number;
}

export interface ReplayPorts {
  readonly policy: Policy;
  readonly journalId: string;
  readonly onDecided: (decided: Decided) => void;
  readonly onBegun: (begun: Begun) => void;
}

/** Records behind one that may be of its commit: at most 16 events wait for an incident to close. */
const COMMIT_RECORDS = 48;

/** What was done about the incident that was open then. */
interface Live {
  readonly incident: string;
  readonly decision: Decision;
  /** Planned, and not ended yet. */
  readonly open: Set<string>;
  readonly ended: Map<string, Outcome>;
  /** Empty: nothing yet. */
  begun: string;
}

/**
 * Tells a journal's records to `Lives` under a policy, which may be another than the one that held. Where an incident
 * gets the plan that it got then, its steps begin and end as they did; else they begin by the policy, and end as the same
 * step on the same incident did, or applied at once where there was none.
 */
export class Replay {
  readonly #ports: ReplayPorts;
  readonly #lives: Lives;
  readonly #live = new Map<string, Live>();
  readonly #exited = new Set<string>();
  /** What was begun on the VM's latest incident here. */
  readonly #begunHere = new Map<string, { readonly event: number; readonly verbs: Set<string> }>();
  #waiting: Sequenced[] = [];
  #hostBootId = '';
  recordedOutcomes = 0;
  assumedOutcomes = 0;
  unreadable = 0;
  /** Events that came of an act which is not taken here. */
  leftOut = 0;

  constructor(ports: ReplayPorts) {
    this.#ports = ports;
    this.#lives = new Lives({
      policy: ports.policy,
      journalId: ports.journalId,
      ending: (row, incident, overdue) => this.#ending(row, incident, overdue),
      onChange: (before, change, facts) => this.#tell(before, change, facts),
    });
  }

  get rows(): ReadonlyMap<string, VmRow> {
    return this.#lives.rows;
  }

  /** Records in their order; the last few wait for those behind them, until `last`. */
  feed(records: readonly Sequenced[], last: boolean): void {
    const all = this.#waiting.length === 0 ? records : [...this.#waiting, ...records];
    const until = last ? all.length : Math.max(0, all.length - COMMIT_RECORDS);
    for (let index = 0; index < until; index += 1) this.#handle(all, index);
    this.#waiting = all.slice(until);
  }

  #handle(all: readonly Sequenced[], index: number): void {
    const at = all[index];
    const body = at?.record.body;
    if (at === undefined || body === undefined) return;
    const { sequence, record } = at;
    const vm = record.vmId;
    switch (body.$case) {
      case 'policy':
        this.#revision(body.value);
        this.#lives.come(this.#momentOf(record));
        return;
      case 'event': {
        this.#lives.come(this.#momentOf(record));
        const event = eventOf(vm, body.value, this.#lives.life);
        if (event === null) {
          this.unreadable += 1;
          return;
        }
        const { arrival, fold, keptUid } = event;
        if (arrival.report.initiator === 'vmwarden' && this.#isOfOtherAct(record)) {
          this.leftOut += 1;
          return;
        }
        if (arrival.report.event.type === 'VMM_EXITED') this.#exited.add(vm);
        const reachable = this.#wasReachable(all, index);
        const inputs = decisionsBehind(all, index)[0]?.decision.inputs;
        if (inputs !== undefined) this.#lives.inputs(vm, inputs);
        this.#lives.take(arrival, fold, sequence, keptUid, reachable, waitedBehind(all, index));
        this.#goOn(all, index);
        return;
      }
      case 'decision':
        if (this.#hostBootId === '') this.#hostBootId = body.value.hostBootId;
        this.#lives.come(this.#momentOf(record));
        this.#decided(vm, record.incidentId, body.value);
        return;
      case 'step':
        this.#lives.come(this.#momentOf(record));
        this.#stepped(all, index, record, body.value);
        return;
      case 'vm':
        this.#lives.come(this.#momentOf(record));
        this.#seen(vm, body.value);
        return;
      case 'operator':
        this.#lives.come(this.#momentOf(record));
        operate(this.#lives, vm, sequence, body.value);
        return;
      case 'loss':
      case 'host':
        return;
    }
  }

  #revision({ atStart, hostBootId }: PolicyRevision): void {
    if (hostBootId !== '') this.#hostBootId = hostBootId;
    if (atStart) this.#lives.restart();
  }

  #momentOf({ recordedAt, monotonicUs }: Record): Moment {
    const wallMs = recordedAt?.getTime() ?? 0;
    // A journal of before this was recorded: ages by the wall clock.
    if (monotonicUs === 0n) return { wallMs, monoMs: wallMs, hostBootId: '' };
    return { wallMs, monoMs: Number(monotonicUs) / 1_000, hostBootId: this.#hostBootId };
  }

  /** Brought about by a step of vmwarden's that this policy has not begun on the same incident. */
  #isOfOtherAct({ vmId, incidentId }: Record): boolean {
    const live = this.#live.get(vmId);
    if (incidentId === '' || live?.incident !== incidentId) return false;
    const here = this.#begunHere.get(vmId);
    const answers = here !== undefined && BigInt(here.event) === live.decision.eventSequence;
    return !(answers && here.verbs.has(live.begun));
  }

  #wasDecided(vm: string, incident: string, decision: Decision): void {
    if (this.#live.get(vm)?.decision === decision) return;
    const open = new Set(decision.plan.map(({ verb }) => verb));
    this.#live.set(vm, { incident, decision, open, ended: new Map(), begun: '' });
  }

  #decided(vm: string, incident: string, decision: Decision): void {
    if (incident === '') return;
    this.#wasDecided(vm, incident, decision);
    // It went another way then: the incident that was followed has lost its course.
    if (this.#lives.isFollowed(vm) && this.#lives.row(vm)?.incident?.id !== incident) {
      this.#lives.follow(vm, null);
      this.#lives.go(vm);
    }
  }

  #stepped(all: readonly Sequenced[], index: number, record: Record, update: StepUpdate): void {
    if (update.state === StepState.PROGRESS || update.state === StepState.WAITING) return;
    const vm = record.vmId;
    const outcome = outcomeOf(update);
    const live = this.#live.get(vm);
    if (live?.incident === record.incidentId) {
      if (outcome === null) live.begun = update.verb;
      else {
        live.open.delete(update.verb);
        // What was called off before it began says nothing of how it would have ended.
        if (live.begun !== '' || outcome.kind !== 'cancelled') live.ended.set(update.verb, outcome);
      }
    }
    const incident = this.#lives.row(vm)?.incident ?? null;
    const same = incident?.id === record.incidentId && incident.index === update.index;
    if (same && this.#lives.isFollowed(vm)) {
      const reachable = this.#wasReachable(all, index);
      if (outcome === null) this.#begun(vm, incident, update, reachable);
      else this.#ended(vm, incident, update, outcome, reachable, waitedBehind(all, index));
    }
    this.#goOn(all, index);
  }

  #begun(vm: string, incident: Incident, update: StepUpdate, reachable: boolean): void {
    const { kind, attempt } = incident.step;
    if (kind === 'planned' && attempt === update.attempt) this.#lives.change(vm, reachable, begin);
    // A life of vmwarden's found the intent of an earlier one.
    if (kind === 'started' && attempt + 1 === update.attempt) {
      const pays = update.charged !== '';
      this.#lives.change(vm, reachable, (row, stamp) => again(row, incident, pays, stamp));
    }
  }

  #ended(
    vm: string,
    incident: Incident,
    update: StepUpdate,
    outcome: Outcome,
    reachable: boolean,
    full: boolean,
  ): void {
    const { kind, attempt } = incident.step;
    if (attempt !== update.attempt) return;
    this.recordedOutcomes += 1;
    if (kind === 'planned' && update.verb === 'hold') {
      this.#lives.change(vm, reachable, begin);
      return;
    }
    const called = outcome.kind === 'cancelled';
    if (kind === 'started' && called && outcome.reason === 'BUDGET_EXHAUSTED') {
      this.#lives.follow(vm, null);
      this.#lives.change(vm, reachable, (row, stamp) => exhaust(row, incident, outcome, stamp));
      return;
    }
    // Of an earlier life's intent: it may have run, so its attempt stayed charged.
    const kept = called && update.refunded === '';
    const done = { outcome, elapsedNs: update.elapsedNs, path: update.path };
    this.#lives.change(
      vm,
      reachable,
      (row, stamp) => advance(kept ? ranMaybe(row) : row, done, stamp),
      full,
    );
  }

  #seen(vm: string, update: VmUpdate): void {
    const { continuous, contact, uid, state, bootId } = update;
    if (continuous !== undefined) {
      this.#exited.delete(vm);
      const inspection = { state: 'unknown', raw: state, bootId, boots: 0 } as const;
      this.#lives.contact(vm, uid, inspection, continuous);
    } else if (contact === Contact.LOST && !this.#exited.has(vm)) {
      this.#lives.lose(vm);
    }
    this.#lives.go(vm);
  }

  /** The incident that the VM has open now goes on as it did then, where it got the same plan in the same commit. */
  #goOn(all: readonly Sequenced[], index: number): void {
    const vm = all[index]?.record.vmId ?? '';
    const incident = this.#lives.row(vm)?.incident ?? null;
    if (incident === null) return;
    if (!this.#lives.isFollowed(vm)) {
      const live = decisionsBehind(all, index).find(({ id }) => id === incident.id);
      if (live !== undefined) this.#wasDecided(vm, live.id, live.decision);
      if (live !== undefined && samePlan(live.decision, incident)) {
        this.#lives.follow(vm, incident.id);
      }
    }
    this.#lives.go(vm);
  }

  #wasReachable(all: readonly Sequenced[], index: number): boolean {
    const acted = decisionsBehind(all, index).find(({ id }) => id !== '');
    if (acted !== undefined) return !acted.decision.outOfReach;
    return this.#lives.isReachable(all[index]?.record.vmId ?? '');
  }

  #ending(row: VmRow, incident: Incident, overdue: boolean): Outcome | null {
    const verb = incident.plan[incident.index]?.verb ?? '';
    const live = this.#live.get(row.id);
    if (live?.incident === incident.id) {
      const outcome = live.ended.get(verb);
      if (outcome !== undefined) {
        live.ended.delete(verb);
        this.recordedOutcomes += 1;
        return outcome;
      }
      if (live.open.has(verb) && !overdue) return null;
    }
    this.assumedOutcomes += 1;
    return { kind: 'applied', proof: ['assumed'], state: 'unknown' };
  }

  #noteBegun(vm: string, event: number, verb: string): void {
    const here = this.#begunHere.get(vm);
    if (here?.event === event) here.verbs.add(verb);
    else this.#begunHere.set(vm, { event, verbs: new Set([verb]) });
  }

  #tell(before: VmRow | undefined, { row, records }: Change, arrived: Facts | null): void {
    let rule = before?.incident?.rule ?? '';
    let event = before?.incident?.facts.sequence ?? 0;
    for (const { incidentId, body } of records) {
      if (body?.$case === 'decision') {
        const decision = body.value;
        const sequence = Number(decision.eventSequence);
        const facts = factsOf(sequence, arrived, before);
        if (incidentId !== '') {
          rule = decision.rule;
          event = sequence;
        }
        if (facts === null) continue;
        this.#ports.onDecided({ vm: row.id, incident: incidentId, facts, decision });
      } else if (body?.$case === 'step') {
        const { state, verb } = body.value;
        const held = verb === 'hold' && state === StepState.APPLIED;
        if (state === StepState.STARTED || held) {
          this.#noteBegun(row.id, event, verb);
          this.#ports.onBegun({ vm: row.id, rule, verb, event });
        }
      }
    }
  }
}

/** The decisions in the same commit as the record at `index`, behind it. */
const decisionsBehind = (
  all: readonly Sequenced[],
  index: number,
): readonly { readonly id: string; readonly decision: Decision }[] => {
  const vm = all[index]?.record.vmId;
  const found: { id: string; decision: Decision }[] = [];
  for (let next = index + 1; next < index + COMMIT_RECORDS; next += 1) {
    const record = all[next]?.record;
    const kind = record?.body?.$case;
    if (record?.vmId !== vm || (kind !== 'decision' && kind !== 'step')) break;
    if (record?.body?.$case === 'decision') {
      found.push({ id: record.incidentId, decision: record.body.value });
    }
  }
  return found;
};

/** In the same commit as the record at `index` a step had to wait for a place on the host. */
const waitedBehind = (all: readonly Sequenced[], index: number): boolean => {
  const vm = all[index]?.record.vmId;
  for (let next = index + 1; next < index + COMMIT_RECORDS; next += 1) {
    const record = all[next]?.record;
    if (record?.vmId !== vm) return false;
    if (record?.body?.$case === 'decision') continue;
    if (record?.body?.$case !== 'step') return false;
    const { state, reason } = record.body.value;
    return state === StepState.WAITING && reason === 'CONCURRENT';
  }
  return false;
};

/** With it the steps begin and end as they did: by the same plan, after the same wait. */
const samePlan = ({ plan, now, notBefore }: Decision, incident: Incident): boolean => {
  if (plan.length !== incident.plan.length) return false;
  const same = incident.plan.every((step, index) => {
    const planned = plannedStep(step);
    const then = plan[index];
    return (
      then?.verb === planned.verb &&
      then.inProcess === planned.inProcess &&
      then.awaitEvent === planned.awaitEvent &&
      then.retries === planned.retries &&
      then.continueOnFailure === planned.continueOnFailure
    );
  });
  const waited = notBefore === undefined ? 0 : notBefore.getTime() - (now?.getTime() ?? 0);
  const first = incident.index === 0 && incident.step.attempt === 1;
  const waits = first && incident.step.kind === 'planned' ? incident.step.waitMs : 0;
  return same && Math.abs(waited - waits) < 1;
};

/** The event that was decided on: it has just come, waited for its turn, or is answered once more. */
const factsOf = (
  sequence: number,
  arrived: Facts | null,
  before: VmRow | undefined,
): Facts | null =>
  [arrived, ...(before?.pending ?? []), before?.incident?.facts].find(
    (facts) => facts?.sequence === sequence,
  ) ?? null;
