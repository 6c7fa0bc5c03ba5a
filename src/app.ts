import { join } from 'node:path';
import { type Relay, startRelay } from './bus/relay.js';
import type { Config, RedisBusConfig, VmConfig } from './config/config.js';
import { openPolicySource, type PolicySource } from './config/policy-source.js';
import { checkSocket } from './discovery/trust.js';
import { dumpFloorBytes, makeDumpTarget } from './dumps/dump-target.js';
import { type RunningEngine, startEngine } from './engine/create-engine.js';
import { encodeRecord, hostClosedRecord, lossRecord } from './engine/records.js';
import type { EngineVm } from './engine/roster.js';
import { findVms, followFound } from './found-vms.js';
import type { Journal } from './journal/journal.js';
import { openLmdbJournal } from './journal/lmdb/lmdb-journal.js';
import { type Retention, startRetention } from './journal/retention.js';
import type { Clock } from './lib/clock.js';
import type { Fault } from './lib/fault.js';
import type { Logger } from './lib/logger.js';
import { systemClock } from './lib/system-clock.js';
import { observePolicy } from './policy/observe-policy.js';
import type { PolicyStatus } from './policy/policy-status.js';
import { formatProblem } from './policy/problem.js';
import { createPolicyInForce, type PolicyInForce } from './policy-in-force.js';
import type { RunningServer } from './server/create-server.js';
import { createHealthBoard, type HealthBoard } from './server/health-board.js';
import type { Umask } from './server/listen-unix.js';
import type { Metrics } from './telemetry/metrics/create-metrics.js';
import type { Probes } from './telemetry/probes.js';
import { serveMetrics } from './telemetry/serve-metrics.js';
import { type Agents, createAgents } from './vmm/agent/desk.js';
import type { Driver } from './vmm/driver.js';
import { createObserveDriver } from './vmm/observe/driver.js';
import { createQemuDriver } from './vmm/qemu/driver.js';
import { createDriver, type DriverRegistry } from './vmm/registry.js';
import { watchJournal } from './watch-journal.js';
import { watchRelay } from './watch-relay.js';

/** What the program around it hands in, and what tests put in the place of a part. */
export interface AppParts {
  readonly log: Logger;
  readonly umask: Umask;
  /** This process's. */
  readonly pid: number;
  /** This process's user, whose sockets are trusted. Default: root. */
  readonly uid?: number;
  readonly clock?: Clock;
  readonly drivers?: DriverRegistry;
  /** Called once when a part is broken for good: only a new process helps. */
  readonly onBroken?: (fault: Fault) => void;
  /** Called at named points of an act; for tests that stop the world there. */
  readonly onPoint?: (point: string) => void;
}

export interface App {
  readonly engine: RunningEngine;
  readonly journal: Journal;
  readonly health: HealthBoard;
  readonly server: RunningServer;
  /** null: not configured. */
  readonly probes: Probes | null;
  /** Ends everything in the reverse order, within `stopTimeoutMs`. Idempotent. */
  stop(): Promise<void>;
}

/** A stop waits at most so long for the fleet bus; what it has not got by then follows after the next start. */
const BUS_DRAIN_MS = 10_000;

/**
 * The composition root: the only place that knows which implementation stands behind each contract. Rejects with
 * the first part's Fault after ending the parts that had started.
 */
export const startApp = async (config: Config, parts: AppParts): Promise<App> => {
  const { log } = parts;
  const clock = parts.clock ?? systemClock();
  const startedAtMs = clock.now().wallMs;
  const { bus } = config;
  const health = createHealthBoard(['journal', 'engine', ...(bus.kind === 'redis' ? ['bus'] : [])]);
  const ends: (() => Promise<void>)[] = [];
  let stopping: Promise<void> | null = null;
  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      for (const end of ends.reverse()) await end();
    })();
    return stopping;
  };

  try {
    const served = await serveMetrics(config, health, clock, log);
    const metrics = served?.metrics ?? null;
    // The last to go: it is asked how a stop is getting on.
    if (served !== null) ends.push(() => served.probes.stop());
    const opening = openLmdbJournal({
      dir: join(config.dataDir, 'journal'),
      reserveBytes: config.journal.reserveBytes,
      pid: parts.pid,
    });
    // What serves gRPC, the largest part, is read from the disk meanwhile.
    const loading = import('./server/create-server.js');
    const journal = await opening;
    ends.push(() => journal.close());
    ends.push(watchJournal({ journal, health, onBroken: parts.onBroken ?? (() => undefined) }));
    metrics?.watchJournal(journal);

    const followed = await followPolicy(config, log, health, metrics);
    if (followed !== null) ends.push(() => followed.source.close());
    const policy = followed?.source.current ?? observePolicy();

    const relay =
      bus.kind === 'redis' ? await relayInto(bus, config.host, journal, clock, log, metrics) : null;
    if (relay !== null) {
      metrics?.watchBus(() => relay.status(), journal);
      ends.push(watchRelay(relay, health));
      ends.push(() => relay.stop(Math.min(BUS_DRAIN_MS, config.stopTimeoutMs / 4)));
    }

    const agents = createAgents(config.vms, log);
    const registry = parts.drivers ?? defaultDrivers(clock, log, agents);
    const dumps = {
      dir: config.dumps.dir,
      floorBytes: dumpFloorBytes(config.journal.reserveBytes),
    };
    const ownUid = parts.uid ?? 0;
    const found = await findVms(config, { journal, clock, log, health, ownUid });
    const engineVm = (vm: VmConfig): EngineVm => ({
      id: vm.id,
      uid: vm.uid,
      labels: vm.labels,
      takeOver: vm.takeOver,
      driver: createDriver(registry, vm),
    });
    const vms = [...config.vms, ...(found?.vms ?? [])];
    const labels = new Map(vms.map((vm) => [vm.id, vm.labels]));
    const engine = await startEngine({
      journal,
      clock,
      log,
      health,
      policy,
      policySource: config.policyFile ?? '',
      hostName: config.host,
      vms: vms.map(engineVm),
      retired: found?.retired ?? [],
      observer: createObserveDriver(),
      dumpTarget: (vm, incident, attempt) => makeDumpTarget(dumps, vm, incident, attempt),
      ...(metrics !== null && { tap: metrics.tap }),
      ...(parts.onPoint !== undefined && { onPoint: parts.onPoint }),
    });
    ends.push(() => engine.stop(config.stopTimeoutMs / 2));
    if (found !== null) {
      ends.push(() => found.stop());
      followFound(found, engine, labels, engineVm);
    }
    followed?.inForce.attach(engine, policy);
    metrics?.watchVms(engine);
    health.up('engine');

    const retention = keepBounded(config, journal, engine, relay, clock, log, metrics);
    ends.push(() => retention.stop());

    const { startServer } = await loading;
    const server = await startServer({
      socket: config.socket,
      umask: parts.umask,
      engine,
      journal,
      health,
      agents,
      log,
      policies: {
        status: () => followed?.source.status() ?? observing(startedAtMs),
      },
      labels,
      ...(metrics !== null && { onCall: metrics.onCall }),
    });
    ends.push(() => server.stop(config.stopTimeoutMs / 4));
    // While their streams still live.
    ends.push(() => agents.release(AbortSignal.timeout(config.stopTimeoutMs / 8)));
    if (served !== null) ends.push(async () => health.down('engine', 'is stopping'));
    return { engine, journal, health, server, probes: served?.probes ?? null, stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

/** Each configured VM's driver, for who asks what it can do: none of them is started, so nothing is connected to. */
export const idleDrivers = (config: Config): readonly { vm: VmConfig; driver: Driver }[] => {
  const registry = defaultDrivers(systemClock(), silent, createAgents(config.vms, silent));
  return config.vms.map((vm) => ({ vm, driver: createDriver(registry, vm) }));
};

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

const defaultDrivers = (clock: Clock, log: Logger, agents: Agents): DriverRegistry => ({
  qemu: (vm) => {
    const { socket } = vm.driver;
    const owners = vm.socketOwners === undefined ? null : new Set(vm.socketOwners);
    return createQemuDriver({
      vm,
      socket,
      clock,
      log,
      ...(owners !== null && { refused: () => checkSocket(socket, owners) }),
    });
  },
  agent: (vm) => agents.driver(vm),
  observe: () => createObserveDriver(),
});

/** Without a file. */
const observing = (loadedAtMs: number): PolicyStatus => ({
  policy: observePolicy(),
  source: '',
  text: '',
  loadedAtMs,
  warnings: [],
  broken: null,
});

const followPolicy = async (
  config: Config,
  log: Logger,
  health: HealthBoard,
  metrics: Metrics | null,
): Promise<{ readonly source: PolicySource; readonly inForce: PolicyInForce } | null> => {
  const file = config.policyFile;
  if (file === null) {
    log.warn({}, 'no policy file: observing only; `vmwarden policy init` writes one to start with');
    return null;
  }
  const inForce = createPolicyInForce({ file, log, health });
  const source = await openPolicySource(file, (change) => {
    inForce.onChange(change);
    metrics?.policyFile(change.kind === 'broken');
  });
  for (const warning of source.warnings) {
    log.warn({ file, warning: formatProblem(warning) }, 'policy warning');
  }
  health.up('policy');
  return { source, inForce };
};

const relayInto = async (
  config: RedisBusConfig,
  host: string,
  journal: Journal,
  clock: Clock,
  log: Logger,
  metrics: Metrics | null,
): Promise<Relay> => {
  // Only then: who has no Redis need not have its client in memory.
  const { RedisBus } = await import('./bus/redis/redis-bus.js');
  const wallMs = () => clock.now().wallMs;
  return startRelay({
    journal,
    bus: new RedisBus({ config, host, journalId: journal.id }),
    lossMarker: (first, last) => {
      metrics?.lost('bus');
      return encodeRecord(
        lossRecord(clock.now(), '', first, last, 'the journal dropped it before the bus had it'),
      );
    },
    closedRecord: () => encodeRecord(hostClosedRecord(clock.now(), 'it was asked to stop')),
    wallMs,
    log,
    ...(metrics !== null && { onStatus: metrics.busChanged }),
  });
};

const keepBounded = (
  config: Config,
  journal: Journal,
  engine: RunningEngine,
  relay: Relay | null,
  clock: Clock,
  log: Logger,
  metrics: Metrics | null,
): Retention =>
  startRetention({
    journal,
    limits: config.journal,
    floor: () => Math.min(engine.floor(), relay?.floor() ?? Number.POSITIVE_INFINITY),
    lossMarker: (first, last) => {
      metrics?.lost('journal');
      return encodeRecord(
        lossRecord(clock.now(), '', first, last, 'the journal reached its hard limit'),
      );
    },
    clock,
    log,
  });
