import { randomUUID } from 'node:crypto';
import type { EventReport } from '../event/report.js';
import type { Journal, Sequence } from '../journal/journal.js';
import type { Clock } from '../lib/clock.js';
import { Fault } from '../lib/fault.js';
import type { Logger } from '../lib/logger.js';
import { nextMaintenanceEnd } from '../policy/maintenance.js';
import type { Policy } from '../policy/policy.js';
import { carriedOver } from '../policy/storm.js';
import { wantedTakeOver } from '../policy/take-over.js';
import type { Driver, DumpTarget } from '../vmm/driver.js';
import { Actuator } from './actuator.js';
import { Comings, Keeping } from './comings.js';
import { Core, type HealthPort } from './core.js';
import { Deaths } from './deaths.js';
import type { Engine, Receipt, VmView } from './engine.js';
import { readHostHold } from './host-hold.js';
import { resumeRelease } from './host-operator.js';
import { Ingest } from './ingest.js';
import { Operator } from './operator.js';
import { OperatorDesk, vmUnknown } from './operator-desk.js';
import { outlookOf } from './outlook.js';
import { policyRecord } from './records.js';
import { type EngineVm, Roster } from './roster.js';
import { Sightings } from './sightings.js';
import { StormGuard } from './storm-guard.js';
import { decodeStorm, STORM_ROW } from './storm-row.js';
import type { Tap } from './tap.js';
import { decodeVmRow, VM_ROW_PREFIX, type VmRow } from './vm-row.js';
import { Watches } from './watches.js';
import { World } from './world.js';

export interface EngineOptions {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly policy: Policy;
  /** Where the policy came from, for its revision record. */
  readonly policySource: string;
  readonly vms: readonly EngineVm[];
  /** VMs of which rows are kept, and that are not listed until something new is known of them. Default: none. */
  readonly retired?: readonly string[];
  /** What conditions know this host by. Default: empty. */
  readonly hostName?: string;
  /** For VMs that only reporters know. */
  readonly observer: Driver;
  readonly dumpTarget: (vm: string, incident: string, attempt: number) => Promise<DumpTarget>;
  readonly log: Logger;
  readonly health: HealthPort;
  readonly tap?: Tap;
  /** Called at named points of an act; for tests that stop the world there. */
  readonly onPoint?: (point: string) => void;
}

export interface RunningEngine extends Engine {
  /** All VMs, each looked at as it is asked for: for who must not hold up the loop over thousands of them. */
  survey(): Iterable<VmView>;
  /** Watches one more VM, or one by another driver. */
  attach(vm: EngineVm): Promise<void>;
  /**
   * Lists a VM no more that was attached, but keeps its row for the policy's windows. False: it is in contact, held, or something
   * is open with it, so it stays.
   */
  retire(id: string): Promise<boolean>;
  /** Decides by this policy from now on. */
  setPolicy(policy: Policy, source: string): Promise<void>;
  /** The lowest sequence that something open still needs. */
  floor(): Sequence;
  /** Ends acts and watches within `graceMs`, and puts take-over back. Idempotent. */
  stop(graceMs: number): Promise<void>;
}

/** Reads the rows back and begins to watch. Faults: those of the journal, ROW_UNREADABLE. */
export const startEngine = async (options: EngineOptions): Promise<RunningEngine> => {
  const keeping = new Keeping(options.vms.map(({ id }) => id));
  const retired = new Set(options.retired);
  const rows = await readRows(options.journal);
  const startedAt = options.clock.now();
  const storm = decodeStorm(options.journal.lookup(STORM_ROW));
  const world = new World(
    options.journal,
    rows.filter(({ id }) => !retired.has(id)),
    (row) => keeping.untilMs(row, options.clock.now().wallMs),
    options.tap ?? null,
    storm,
  );
  options.tap?.policyInForce(options.policy);
  const roster = new Roster(world, options.observer, options.vms);
  const core = new Core({
    ...options,
    world,
    roster,
    hostHold: readHostHold(options.journal),
    deaths: new Deaths(rows, startedAt),
    hostName: options.hostName ?? '',
    onPoint: options.onPoint ?? (() => undefined),
  });
  const life = randomUUID();
  const actuator = new Actuator({
    core,
    driverLife: life,
    dumpTarget: options.dumpTarget,
  });
  const ingest = new Ingest(core, actuator);
  const operators = new Operator(new OperatorDesk(core, actuator, life));
  const sightings = new Sightings(core, actuator, ingest, life);
  await world.commit({
    kind: 'outcome',
    records: [policyRecord(startedAt, core.policy, options.policySource, true)],
    storm: carriedOver(storm, startedAt),
  });

  await resumeRelease(core);

  const watches = new Watches({
    take: (vm, sighting) => sightings.take(vm, sighting),
    lastSeen: (vm) => world.get(vm)?.seen ?? null,
    takeOver: (vm) => wantedTakeOver(core.policy, roster.identity(vm), core.clock.now().wallMs),
  });
  for (const vm of options.vms) watches.start(vm);
  const comings = new Comings(core, watches, keeping, { actuator, ingest, sightings });
  sightings.begin();
  const storms = new StormGuard(core, (vm) => actuator.kick(vm));
  /** The answer to who may act on which VM has changed. */
  const changed = async (): Promise<void> => {
    await Promise.allSettled(watches.all().map(({ driver }) => driver.refresh()));
    for (const id of roster.ids()) actuator.kick(id);
  };
  const maintenance = followMaintenance(core, changed);

  return {
    report: (report: EventReport): Promise<Receipt> => ingest.take({ report, driver: null }),
    vms: () => roster.ids().map((id) => core.view(roster.durableRow(id))),
    survey: () => survey(core),
    vm: (id) => viewOf(core, id),
    outlook: (vm, budget) => {
      if (!roster.has(vm)) throw vmUnknown(vm);
      return outlookOf(core.policy, budget, roster.durableRow(vm), core.clock.now());
    },
    nowMs: () => core.clock.now().wallMs,
    operators,
    floor: () => floorOf(core),
    attach: (vm) => comings.attach(vm),
    retire: (id) => comings.retire(id),
    setPolicy: async (policy, source) => {
      core.policy = policy;
      options.tap?.policyInForce(policy);
      // What a condition of the last policy failed at.
      core.health.up('conditions');
      maintenance.look();
      await changed();
      await world.commit({
        kind: 'outcome',
        records: [policyRecord(core.clock.now(), policy, source, false)],
      });
    },
    stop: async (graceMs) => {
      if (core.stopping) return;
      core.stopping = true;
      ingest.flush();
      storms.close();
      maintenance.close();
      await actuator.stop(graceMs / 2);
      const bound = AbortSignal.timeout(Math.max(100, graceMs / 4));
      const taken = watches.all().filter(({ takeOver }) => takeOver);
      await Promise.allSettled(taken.map(({ driver }) => driver.release(bound)));
      const ended = watches.endAll();
      sightings.close();
      await ended;
      ingest.flush();
    },
  };
};

function* survey(core: Core): Generator<VmView> {
  for (const id of core.roster.ids()) yield core.view(core.roster.durableRow(id));
}

const readRows = async (journal: Journal): Promise<readonly VmRow[]> =>
  (await journal.rows(VM_ROW_PREFIX)).map(({ key, value }) => {
    const row = decodeVmRow(value);
    if (row !== null) return row;
    throw new Fault(
      'FAILED_PRECONDITION',
      'ROW_UNREADABLE',
      `row ${key} of the journal can't be read`,
    );
  });

const viewOf = (core: Core, vm: string): VmView => {
  if (!core.roster.has(vm)) throw vmUnknown(vm);
  return core.view(core.roster.durableRow(vm));
};

/** How late a maintenance may end after a step of the wall clock. */
const MAINTENANCE_LOOK_MS = 30_000;

/** Tells when a maintenance ends by itself, so that take-over is asked for again. */
const followMaintenance = (
  core: Core,
  onEnd: () => Promise<void>,
): { look(): void; close(): void } => {
  let timer: NodeJS.Timeout | undefined;
  let awaited: number | null = null;
  const look = (): void => {
    clearTimeout(timer);
    const { wallMs } = core.clock.now();
    if (awaited !== null && wallMs >= awaited) void onEnd();
    awaited = nextMaintenanceEnd(core.policy, wallMs);
    if (awaited === null) return;
    timer = setTimeout(look, Math.min(MAINTENANCE_LOOK_MS, Math.max(1, awaited - wallMs)));
    timer.unref();
  };
  look();
  return { look, close: () => clearTimeout(timer) };
};

const floorOf = ({ roster, journal }: Core): Sequence => {
  const needed = roster.ids().flatMap((id) => {
    const { incident, pending } = roster.row(id);
    const open = incident === null ? pending : [incident.facts, ...pending];
    return open.map(({ sequence }) => sequence);
  });
  return Math.min(journal.next, ...needed);
};
