import type { DecisionInputs } from '../../gen/vmwarden/v1/record.js';
import { ageMs, type Moment } from '../../lib/clock.js';
import { Heap } from '../../lib/heap.js';
import { modeFor } from '../../policy/maintenance.js';
import type { Policy, StormState } from '../../policy/policy.js';
import { CALM, carriedOver, releaseInMs, settle } from '../../policy/storm.js';
import type { Inspection, Outcome } from '../../vmm/driver.js';
import type { Arrival } from '../admit.js';
import { advance, lapsed } from '../advance.js';
import { begin, type Change, type Stamp } from '../answer.js';
import { isAwaiting, notSeen } from '../awaiting.js';
import { contacted } from '../boot.js';
import { Deaths } from '../deaths.js';
import type { HostStamp } from '../gate.js';
import type { Fold } from '../records.js';
import { type TakenIn, takeIn } from '../take-in.js';
import { type Facts, type Incident, rowOf, type VmRow } from '../vm-row.js';

export interface LivesPorts {
  readonly policy: Policy;
  /** Makes incidents' names what they were. */
  readonly journalId: string;
  /** What VMs have until a decision's inputs say otherwise. */
  readonly labels: ReadonlyMap<string, Stamp['labels']>;
  /** How a step that has begun ends; null: that may still come, until the step's time is over. */
  readonly ending: (row: VmRow, incident: Incident, overdue: boolean) => Outcome | null;
  /** `facts`: of the event that came in with it; null: none did. */
  readonly onChange: (before: VmRow | undefined, change: Change, facts: Facts | null) => void;
}

/** Rounding of a clock; less is no time. Milliseconds. */
const INSTANT_MS = 0.01;

/**
 * The VMs of a host as they would live under a policy, with no VMM, journal or clock: the same pure steps as live
 * traffic (`takeIn`, `begin`, `advance`), with waits that end as time is told. An incident that is followed is left to
 * its caller, who knows how it went on.
 */
export class Lives {
  readonly #ports: LivesPorts;
  readonly #rows = new Map<string, VmRow>();
  readonly #lost = new Set<string>();
  readonly #followed = new Map<string, string>();
  readonly #labels: Map<string, Stamp['labels']>;
  #deaths = new Deaths([], { wallMs: 0, monoMs: 0, hostBootId: '' });
  #storm: StormState = CALM;
  #host = { name: '', vms: 0 };
  readonly #timers = new Heap<{ readonly at: number; readonly vm: string; readonly id: number }>();
  readonly #armed = new Map<string, { readonly at: number; readonly id: number }>();
  #timerId = 0;
  /** Which life of vmwarden it is. */
  #life = 0;
  #now: Moment | null = null;
  #hostHeld = false;
  /** Milliseconds of `#now` on a line that never goes back. */
  #at = 0;

  constructor(ports: LivesPorts) {
    this.#ports = ports;
    this.#labels = new Map(ports.labels);
  }

  get life(): string {
    return String(this.#life);
  }

  get rows(): ReadonlyMap<string, VmRow> {
    return this.#rows;
  }

  row(vm: string): VmRow | undefined {
    return this.#rows.get(vm);
  }

  /** Time has come to `now`; what was due before has happened. */
  come(now: Moment): void {
    if (this.#now === null) {
      this.#now = now;
      return;
    }
    const until = this.#at + ageMs(this.#now, now);
    this.#fire(until);
    this.#at = until;
    this.#now = now;
  }

  /** Lets all that waits happen, each at its time. */
  end(): void {
    this.#fire(Number.POSITIVE_INFINITY);
  }

  /** What a decision on this VM looked at beyond its records. */
  inputs(vm: string, { labels, host, hostVms }: DecisionInputs): void {
    this.#labels.set(vm, labels);
    this.#host = { name: host, vms: hostVms };
  }

  /** One event in; `go` lets its answer go on. `full`: the host had no place for its first step. */
  take(
    arrival: Arrival,
    fold: Fold | null,
    sequence: number,
    keptUid: string,
    reachable: boolean,
    full: boolean,
  ): TakenIn {
    const { vm } = arrival.report;
    const before = this.#rows.get(vm);
    const stamp = { ...this.#stamp(vm, full), reachable };
    const taken = takeIn(rowOf(vm, before, keptUid), arrival, fold, sequence, stamp);
    if (taken.death) this.#deaths.note(vm, stamp.now);
    this.#storm = taken.storm;
    this.#apply(before, taken, taken.admission.facts);
    return taken;
  }

  /** Puts a change in that the caller made of the VM's row. */
  change(
    vm: string,
    reachable: boolean,
    make: (row: VmRow, stamp: Stamp) => Change,
    full = false,
  ): void {
    const row = this.#rows.get(vm);
    if (row === undefined) return;
    const stamp = { ...this.#stamp(vm, full), reachable };
    this.#apply(row, make(row, stamp), null);
  }

  /** Contact with the VMM was made, or lost. */
  contact(vm: string, uid: string, inspection: Inspection, continuous: boolean): void {
    this.#lost.delete(vm);
    const row = rowOf(vm, this.#rows.get(vm), uid);
    this.#rows.set(vm, contacted(row, inspection, continuous));
  }

  lose(vm: string): void {
    this.#lost.add(vm);
  }

  isReachable(vm: string): boolean {
    return !this.#lost.has(vm);
  }

  /** What an operator made of a VM's row: nothing that the policy would be asked about. */
  operate(vm: string, make: (row: VmRow, stamp: Stamp) => VmRow): void {
    const row = this.#rows.get(vm);
    if (row !== undefined) this.#rows.set(vm, make(row, this.#stamp(vm)));
  }

  /** Whether somebody holds the host. */
  holdHost(held: boolean): void {
    this.#hostHeld = held;
  }

  /** vmwarden starts anew: what drivers counted is worth nothing any more. */
  restart(now: Moment): void {
    this.#life += 1;
    // As it finds them in its rows.
    this.#deaths = new Deaths(this.#rows.values(), now);
    this.#storm = carriedOver(this.#storm, now);
  }

  /** The caller knows how the VM's open incident goes on; null: it does not. */
  follow(vm: string, incident: string | null): void {
    if (incident === null) this.#followed.delete(vm);
    else this.#followed.set(vm, incident);
  }

  isFollowed(vm: string): boolean {
    const open = this.#rows.get(vm)?.incident?.id;
    return open !== undefined && this.#followed.get(vm) === open;
  }

  /** What can happen on this VM by now does. */
  go(vm: string): void {
    for (;;) {
      const row = this.#rows.get(vm);
      const incident = row?.incident ?? null;
      if (row === undefined || incident === null || this.isFollowed(vm)) return;
      const change =
        incident.step.kind === 'planned' ? this.#start(row, incident) : this.#finish(row, incident);
      if (change === null || change.row === row) return;
      this.#apply(row, change, null);
    }
  }

  /** null: it waits. */
  #start(row: VmRow, incident: Incident): Change | null {
    const stamp = this.#stamp(row.id);
    if (incident.step.kind !== 'planned') return null;
    const outcome = lapsed(row, incident, this.life, stamp);
    if (outcome !== null) return advance(row, { outcome, elapsedNs: 0n, path: '' }, stamp);
    const leftMs = incident.step.waitMs - ageMs(incident.step.since, stamp.now);
    const untilLapse = stamp.policy.safety.maxWaitMs - ageMs(incident.waitingSince, stamp.now) + 1;
    const due = leftMs < INSTANT_MS;
    if (due && stamp.reachable) {
      const heldMs = this.#heldMs(incident, stamp);
      if (heldMs === 0) return begin(row, stamp);
      this.#arm(row.id, Math.min(heldMs, untilLapse));
    } else {
      this.#arm(row.id, due ? untilLapse : Math.min(leftMs, untilLapse));
    }
    return null;
  }

  /** How long a step that waits for the host, and has said so, has to wait on; 0: it may begin, or say so. */
  #heldMs(incident: Incident, { host, now, policy }: Stamp): number {
    if (incident.waitsFor !== 'STORM') return 0;
    const { storm } = host;
    if (storm.kind === 'on') {
      return Math.max(INSTANT_MS, (policy.safety.storm?.quietMs ?? 0) - ageMs(storm.lastAt, now));
    }
    const leftMs = releaseInMs(storm, now) ?? 0;
    if (leftMs === 0 && storm.kind === 'draining') this.#storm = { ...storm, lastReleaseAt: now };
    return leftMs;
  }

  #finish(row: VmRow, incident: Incident): Change | null {
    if (incident.step.kind !== 'started') return null;
    const stamp = this.#stamp(row.id);
    const timeoutMs = incident.plan[incident.index]?.timeoutMs ?? 0;
    const leftMs = timeoutMs - ageMs(incident.step.at, stamp.now);
    const outcome = this.#outcomeOf(row, incident, leftMs < INSTANT_MS);
    if (outcome !== null) return advance(row, { outcome, elapsedNs: 0n, path: '' }, stamp);
    this.#arm(row.id, leftMs);
    return null;
  }

  /** What is awaited comes as an event, or not in time. */
  #outcomeOf(row: VmRow, incident: Incident, overdue: boolean): Outcome | null {
    const step = incident.plan[incident.index];
    if (!isAwaiting(incident) || step?.verb !== 'await') {
      return this.#ports.ending(row, incident, overdue);
    }
    return overdue ? notSeen(step.event) : null;
  }

  #apply(before: VmRow | undefined, change: Change, facts: Facts | null): void {
    this.#rows.set(change.row.id, change.row);
    this.#ports.onChange(before, change, facts);
  }

  #arm(vm: string, afterMs: number): void {
    const at = this.#at + Math.max(afterMs, INSTANT_MS);
    const armed = this.#armed.get(vm);
    if (armed !== undefined && Math.abs(armed.at - at) < INSTANT_MS) return;
    this.#timerId += 1;
    this.#armed.set(vm, { at, id: this.#timerId });
    this.#timers.push({ at, vm, id: this.#timerId });
  }

  #fire(until: number): void {
    for (;;) {
      const next = this.#timers.least;
      if (next === undefined || next.at > until) return;
      this.#timers.pop();
      if (this.#armed.get(next.vm)?.id !== next.id || this.#now === null) continue;
      this.#armed.delete(next.vm);
      this.#now = later(this.#now, next.at - this.#at);
      this.#at = next.at;
      this.go(next.vm);
    }
  }

  #stamp(vm: string, full = false): Stamp {
    if (this.#now === null) throw new Error('no time was told yet');
    const { policy, journalId } = this.#ports;
    const labels = this.#labels.get(vm) ?? {};
    const identity = { id: vm, uid: this.#rows.get(vm)?.uid ?? '', labels };
    return {
      now: this.#now,
      journalId,
      policy,
      mode: modeFor(policy, identity, this.#now.wallMs),
      labels,
      host: this.#hostStamp(vm, this.#now, full),
      hostHeld: this.#hostHeld,
      reachable: this.isReachable(vm),
    };
  }

  #hostStamp(vm: string, now: Moment, full: boolean): HostStamp {
    const { storm } = this.#ports.policy.safety;
    return {
      ...this.#host,
      dying: storm === null ? 0 : this.#deaths.countOthers(vm, storm.withinMs, now),
      storm: settle(this.#storm, storm, now),
      full: { restarts: full, dumps: full },
    };
  }
}

const later = ({ wallMs, monoMs, hostBootId }: Moment, ms: number): Moment => ({
  wallMs: wallMs + ms,
  monoMs: monoMs + ms,
  hostBootId,
});
