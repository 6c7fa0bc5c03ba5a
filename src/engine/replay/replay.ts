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
import type { Facts, Incident, VmRow } from '../vm-row.js';
import { Lives, type LivesPorts } from './lives.js';
import { type Begun, type Decided, newsOf } from './news.js';
import { operate } from './operate.js';
import { eventOf, outcomeOf } from './recorded.js';
import { RecordedActs } from './recorded-acts.js';
import {
  COMMIT_RECORDS,
  decisionsBehind,
  type Sequenced,
  samePlan,
  waitedBehind,
} from './recorded-plan.js';

export interface ReplayPorts {
  readonly policy: Policy;
  readonly journalId: string;
  readonly labels: LivesPorts['labels'];
  readonly onDecided: (decided: Decided) => void;
  readonly onBegun: (begun: Begun) => void;
}

/**
 * Tells a journal's records to `Lives` under a policy, which may be another than the one that held. Where an incident
 * gets the plan that it got then, its steps begin and end as they did; else they begin by the policy, and end as the same
 * step on the same incident did, or applied at once where there was none.
 */
export class Replay {
  readonly #ports: ReplayPorts;
  readonly #lives: Lives;
  readonly #acts = new RecordedActs();
  readonly #exited = new Set<string>();
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
      labels: ports.labels,
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
    const inputs = decisionsBehind(all, index)[0]?.decision.inputs;
    if (inputs !== undefined) this.#lives.inputs(vm, inputs);
    switch (body.$case) {
      case 'policy':
        this.#revision(record, body.value);
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
        if (arrival.report.initiator === 'vmwarden' && this.#acts.isOfOther(record)) {
          this.leftOut += 1;
          return;
        }
        if (arrival.report.event.type === 'VMM_EXITED') this.#exited.add(vm);
        const reachable = this.#wasReachable(all, index);
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
        operate(this.#lives, vm, sequence, body.value, {
          reachable: this.#wasReachable(all, index),
          full: waitedBehind(all, index),
        });
        this.#goOn(all, index);
        return;
      case 'loss':
      case 'host':
        return;
    }
  }

  #revision(record: Record, { atStart, hostBootId }: PolicyRevision): void {
    if (hostBootId !== '') this.#hostBootId = hostBootId;
    if (atStart) this.#lives.restart(this.#momentOf(record));
  }

  #momentOf({ recordedAt, monotonicUs }: Record): Moment {
    const wallMs = recordedAt?.getTime() ?? 0;
    // A journal of before this was recorded: ages by the wall clock.
    if (monotonicUs === 0n) return { wallMs, monoMs: wallMs, hostBootId: '' };
    return { wallMs, monoMs: Number(monotonicUs) / 1_000, hostBootId: this.#hostBootId };
  }

  #decided(vm: string, incident: string, decision: Decision): void {
    if (incident === '') return;
    this.#acts.decided(vm, incident, decision);
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
    this.#acts.stepped(record, update, outcome);
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
      if (live !== undefined) this.#acts.decided(vm, live.id, live.decision);
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
    const found = this.#acts.endingOf(row.id, incident.id, verb);
    if (found !== 'unknown' && found !== 'open') {
      this.recordedOutcomes += 1;
      return found;
    }
    if (found === 'open' && !overdue) return null;
    this.assumedOutcomes += 1;
    return { kind: 'applied', proof: ['assumed'], state: 'unknown' };
  }

  #tell(before: VmRow | undefined, change: Change, arrived: Facts | null): void {
    for (const one of newsOf(before, change, arrived)) {
      if (one.kind === 'decided') {
        this.#ports.onDecided(one);
      } else {
        this.#acts.begunHere(one.vm, one.event, one.verb);
        this.#ports.onBegun(one);
      }
    }
  }
}
