import { performance } from 'node:perf_hooks';
import { ageMs } from '../lib/clock.js';
import { withDeadline } from '../lib/with-deadline.js';
import type { Act, DumpTarget, Outcome } from '../vmm/driver.js';
import { throttled } from './act-bounds.js';
import { advance, cancelled, lapsed } from './advance.js';
import { begin, placeOf } from './answer.js';
import { isAwaiting, notSeen } from './awaiting.js';
import type { Core } from './core.js';
import { disagrees } from './disagrees.js';
import { waitsFor } from './gate.js';
import { progressRecord } from './records.js';
import { runStep } from './run-step.js';
import { type Incident, intentOf, isOfEarlierLife, type VmRow } from './vm-row.js';

/** VMs looked at when a step has ended. */
const KICKED_AT_ONCE = 16;
/** Longest timer; a longer wait is armed again. */
const MAX_TIMER_MS = 60 * 60 * 1000;

export interface ActuatorPorts {
  readonly core: Core;
  /** Names the driver's life in which `Facts.boots` counts. */
  readonly driverLife: string;
  readonly dumpTarget: (vm: string, incident: string, attempt: number) => Promise<DumpTarget>;
}

/**
 * Carries plans out, one step at a time, one act at a time per VM. An intent is durable before its act; the outcome
 * and the next step's intent share a commit.
 */
export class Actuator {
  readonly #ports: ActuatorPorts;
  readonly #core: Core;
  readonly #abort = new AbortController();
  readonly #running = new Map<string, Promise<void>>();
  readonly #again = new Set<string>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** Intents of this life, by VM: only these are run; one of an earlier life is resumed by inspection first. */
  readonly #owned = new Map<string, { intent: string; resumed: boolean }>();
  /** Of the step that is under way, by VM. */
  readonly #calls = new Map<string, { readonly incident: string; readonly abort: () => void }>();
  /** Intents found at the start, by VM. One of this life that is on its way to the journal is none of them. */
  readonly #left: ReadonlyMap<string, string>;
  /** VMs whose step waits for others to end theirs, longest first. */
  readonly #blocked = new Set<string>();
  #stopping = false;

  constructor(ports: ActuatorPorts) {
    this.#ports = ports;
    this.#core = ports.core;
    const rows = ports.core.world.ids().flatMap((id) => ports.core.world.get(id) ?? []);
    this.#left = new Map(
      rows.flatMap(({ id, incident }) =>
        incident?.step.kind === 'started' ? [[id, intentOf(incident)]] : [],
      ),
    );
  }

  /** Takes the row's intent as this life's own: it was journaled, or inspected and resumed, just now. */
  own(row: VmRow, resumed: boolean): void {
    if (row.incident?.step.kind !== 'started') return;
    this.#owned.set(row.id, { intent: intentOf(row.incident), resumed });
  }

  /** Whether the row's intent is one that an earlier life left, and that nobody has taken up yet. */
  isLeft(row: VmRow): boolean {
    const { incident } = row;
    if (incident === null || this.#owned.get(row.id)?.intent === intentOf(incident)) return false;
    return this.#left.get(row.id) === intentOf(incident);
  }

  /** Something may have become due on this VM. */
  kick(vm: string): void {
    if (this.#stopping) return;
    if (this.#running.has(vm)) {
      this.#again.add(vm);
      return;
    }
    const run = this.#run(vm).finally(() => {
      this.#running.delete(vm);
      if (this.#again.delete(vm)) this.kick(vm);
    });
    this.#running.set(vm, run);
  }

  /** Tells the step of this incident that is under way to stop. The row says already that nothing comes behind it. */
  callOff(vm: string, incident: string): void {
    const call = this.#calls.get(vm);
    if (call?.incident === incident) call.abort();
  }

  /** Lets acts under way end, at most `graceMs`; then leaves their intents to the next life. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    await withDeadline(graceMs, Promise.all(this.#running.values()));
    this.#abort.abort();
  }

  async #run(vm: string): Promise<void> {
    for (;;) {
      const incident = this.#core.world.get(vm)?.incident;
      if (incident === null || incident === undefined || this.#stopping) return;
      if (incident.step.kind === 'planned') {
        if (!(await this.#start(vm, incident))) return;
      } else if (isAwaiting(incident)) {
        if (!(await this.#stopAwaiting(vm, incident))) return;
      } else {
        const owned = this.#owned.get(vm);
        if (owned?.intent !== intentOf(incident)) return;
        if (!(await this.#carryOut(vm, incident, owned.resumed))) return;
      }
    }
  }

  /** True when the waiting step has begun or lapsed; false when it still waits, with a timer set. */
  async #start(vm: string, incident: Incident): Promise<boolean> {
    if (incident.step.kind !== 'planned') return true;
    const core = this.#core;
    const row = core.roster.row(vm);
    const lapse = lapsed(row, incident, this.#ports.driverLife, core.stamp(vm));
    if (lapse !== null) return await this.#settle(vm, lapse, 0n, '');
    const leftMs = incident.step.waitMs - ageMs(incident.step.since, core.clock.now());
    const reachable = core.isReachable(vm);
    if (leftMs > 0 || !reachable) {
      const untilLapse = this.#untilLapseMs(incident);
      this.#wake(vm, leftMs > 0 ? Math.min(leftMs, untilLapse) : untilLapse);
      return false;
    }
    return await this.#begin(vm, incident);
  }

  /** False: it still waits, for the host. Nothing may come between looking whether it may and staging it. */
  async #begin(vm: string, incident: Incident): Promise<boolean> {
    const core = this.#core;
    const stamp = core.stamp(vm);
    const step = incident.plan[incident.index];
    const reason = step === undefined ? null : waitsFor(step, incident, stamp);
    if (reason !== null) {
      this.#blocked.add(vm);
      this.#wake(vm, this.#untilLapseMs(incident));
      if (incident.waitsFor !== reason) {
        await core.persist(vm, (row) => begin(row, { ...stamp, now: core.clock.now() }));
      }
      return false;
    }
    this.#blocked.delete(vm);
    const { storm } = stamp.host;
    const released =
      incident.waitsFor === 'STORM' && storm.kind === 'draining'
        ? { ...storm, lastReleaseAt: stamp.now }
        : undefined;
    const done = await core.persist(vm, (row) => begin(row, stamp), released);
    if (done) this.own(core.roster.row(vm), false);
    return done;
  }

  #untilLapseMs({ waitingSince }: Incident): number {
    return this.#core.policy.safety.maxWaitMs - ageMs(waitingSince, this.#core.clock.now()) + 1;
  }

  /** True when what was awaited can't come in time any more, so that the plan has gone on; else a timer is set. */
  async #stopAwaiting(vm: string, incident: Incident): Promise<boolean> {
    const step = incident.plan[incident.index];
    if (step?.verb !== 'await' || incident.step.kind !== 'started') return true;
    const leftMs = step.timeoutMs - ageMs(incident.step.at, this.#core.clock.now());
    if (leftMs > 0) {
      this.#wake(vm, leftMs);
      return false;
    }
    return await this.#settle(vm, notSeen(step.event), 0n, '');
  }

  async #carryOut(vm: string, incident: Incident, resumed: boolean): Promise<boolean> {
    this.#core.onPoint('intent:after');
    const started = performance.now();
    const call = new AbortController();
    this.#calls.set(vm, { incident: incident.id, abort: () => call.abort() });
    const off = this.#core.world.get(vm)?.incident?.calledOff;
    const { outcome, path } =
      off === undefined
        ? await this.#perform(vm, incident, resumed, call.signal)
        : { outcome: cancelled('CALLED_OFF', `by ${off.actor}, before it began`), path: '' };
    this.#calls.delete(vm);
    if (this.#stopping && this.#abort.signal.aborted) return false;
    const elapsedNs = BigInt(Math.round((performance.now() - started) * 1e6));
    const verb = incident.plan[incident.index]?.verb;
    const level = outcome.kind === 'failed' || outcome.kind === 'unverified' ? 'warn' : 'info';
    this.#core.log[level](
      {
        vm,
        incidentId: incident.id,
        step: verb,
        outcome: outcome.kind,
        ...('reason' in outcome && { reason: outcome.reason, detail: outcome.message }),
        ms: Number(elapsedNs) / 1e6,
      },
      'step done',
    );
    return await this.#settle(vm, outcome, elapsedNs, path);
  }

  async #settle(vm: string, outcome: Outcome, elapsedNs: bigint, path: string): Promise<boolean> {
    this.#core.onPoint('outcome:before');
    const incident = this.#core.world.get(vm)?.incident ?? null;
    const done = await this.#core.persist(vm, (row) =>
      // While the journal refused it, an operator may have ended what only waited, and another have begun.
      incident === null || row.incident === null || intentOf(row.incident) !== intentOf(incident)
        ? null
        : advance(row, { outcome, elapsedNs, path }, this.#core.stamp(vm)),
    );
    const row = this.#core.world.get(vm);
    if (done && row !== undefined) {
      this.own(row, false);
      this.#tell(row, incident?.id);
    }
    this.#kickBlocked();
    return done;
  }

  /** How an incident ended, and which event, of those that waited for that, opened the next. */
  #tell(row: VmRow, before: string | undefined): void {
    const { id: vm, incident, remark, hold } = row;
    if (before === undefined || before === incident?.id) return;
    const { log } = this.#core;
    log.info({ vm, incidentId: before, held: hold !== null, remark }, 'incident closed');
    if (incident === null) return;
    const { facts, rule } = incident;
    const { sequence, event } = facts;
    log.info(
      { vm, incidentId: incident.id, type: event.type, sequence, rule },
      'an event that waited is answered',
    );
  }

  /** Who waited longest may have the place of a step that has ended. */
  #kickBlocked(): void {
    for (const vm of [...this.#blocked].slice(0, KICKED_AT_ONCE)) this.kick(vm);
  }

  async #perform(
    vm: string,
    incident: Incident,
    resumed: boolean,
    calledOff: AbortSignal,
  ): Promise<{ outcome: Outcome; path: string }> {
    const step = incident.plan[incident.index];
    const { facts } = incident;
    const { driver } = this.#core.roster.entry(vm);
    if (step === undefined)
      return { outcome: cancelled('NO_STEP', 'the plan has ended'), path: '' };
    const reported = facts.boots === null && driver.kind !== 'observe';
    if ((facts.unstated || reported) && !resumed) {
      const outcome = await disagrees(driver, incident, this.#abort.signal);
      if (outcome !== null) return { outcome, path: '' };
    }
    const place = placeOf(vm, incident, incident.step.attempt);
    let path = '';
    const act: Act = {
      id: actIdOf(incident),
      signal: AbortSignal.any([this.#abort.signal, calledOff]),
      timeoutMs: step.timeoutMs,
      cause: {
        boots: facts.driverLife === this.#ports.driverLife && !resumed ? facts.boots : null,
        // Else a guest that runs would be taken for one that still has to be restarted.
        resumed: resumed || isOfEarlierLife(facts, this.#ports.driverLife),
      },
      onProgress: throttled((progress) =>
        this.#core.note(vm, progressRecord(this.#core.clock.now(), place, progress, path)),
      ),
      onCommand: this.#core.onPoint,
    };
    const made = async () => {
      const target = await this.#ports.dumpTarget(vm, incident.id, incident.step.attempt);
      path = target.path;
      return target;
    };
    return { outcome: await runStep(driver, step, act, made), path };
  }

  #wake(vm: string, afterMs: number): void {
    clearTimeout(this.#timers.get(vm));
    this.#timers.set(
      vm,
      setTimeout(
        () => {
          this.#timers.delete(vm);
          this.kick(vm);
        },
        Math.min(MAX_TIMER_MS, Math.max(1, Math.ceil(afterMs))),
      ),
    );
  }
}

/** Names the act whichever life carries it out. */
const actIdOf = ({ id, index, step }: Incident): string =>
  `${id}/${index}/${(step.kind === 'started' ? step.takesUp : undefined) ?? step.attempt}`;
