import type { Config, MetricsConfig } from '../../config/config.js';
import type { RunningEngine } from '../../engine/create-engine.js';
import type { Tap } from '../../engine/tap.js';
import type { Journal } from '../../journal/journal.js';
import type { Clock } from '../../lib/clock.js';
import type { Policy } from '../../policy/policy.js';
import type { HealthView } from '../../server/health-board.js';
import { type BusStatus, busCollector } from './bus-collector.js';
import type { Collector } from './collector.js';
import { dumpCollector } from './dump-collector.js';
import { healthCollector, type PolicyState } from './health-collector.js';
import { Instruments } from './instruments.js';
import { journalCollector } from './journal-collector.js';
import { processCollector } from './process-collector.js';
import { RecordCounter } from './record-counter.js';
import { createScrape } from './scrape.js';
import { vmCollector } from './vm-collector.js';

export interface MetricsOptions {
  readonly config: Pick<Config, 'journal' | 'dumps'>;
  readonly metrics: Pick<MetricsConfig, 'vmSeries'>;
  readonly health: HealthView;
  readonly clock: Clock;
}

/** What the rest of the program tells the metrics, and what a scrape asks of them. Nothing here throws or waits. */
export interface Metrics {
  readonly contentType: string;
  /** The text of a scrape. */
  scrape(): Promise<string>;
  readonly tap: Tap;
  readonly onCall: (path: string, code: string) => void;
  /** A loss marker was made, over what the journal dropped or the bus never had. */
  lost(place: 'journal' | 'bus'): void;
  /** The relay's state changed. */
  busChanged(status: BusStatus): void;
  /** The policy file on disk is good or broken now. */
  policyFile(broken: boolean): void;
  /** From now on scrapes look at these, too. */
  watchJournal(journal: Journal): void;
  watchBus(status: () => BusStatus, journal: Journal): void;
  watchVms(engine: Pick<RunningEngine, 'survey'>): void;
}

export const createMetrics = ({ config, metrics, health, clock }: MetricsOptions): Metrics => {
  const instruments = new Instruments();
  const counter = new RecordCounter(instruments, clock);
  let state: PolicyState = { policy: null, sinceMs: 0, broken: false };
  const tap: Tap = {
    committed: (commit) => counter.committed(commit),
    failed: (error) => counter.failed(error),
    policyInForce: (policy: Policy) => {
      state = { ...state, policy, sinceMs: clock.now().wallMs };
      counter.policyInForce(policy);
    },
  };
  for (const place of ['journal', 'bus']) {
    instruments.count('vmwarden_loss_markers_total', { place }, 0);
  }
  const collectors: Collector[] = [
    processCollector(),
    healthCollector(health, () => state),
    dumpCollector(config.dumps.dir),
  ];
  return {
    contentType: instruments.contentType,
    scrape: createScrape(instruments, () => collectors),
    tap,
    // Of methods that are there; grpc-js answers for others by itself.
    onCall: (path, code) => {
      instruments.count('vmwarden_grpc_requests_total', { method: path.slice(1), code });
    },
    lost: (place) => instruments.count('vmwarden_loss_markers_total', { place }),
    busChanged: ({ state: now, fault }) => {
      if (now !== 'waiting' || fault === null) return;
      const reason = fault.reason.startsWith('BUS_') ? fault.reason : 'OTHER';
      instruments.count('vmwarden_bus_failures_total', { reason });
    },
    policyFile: (broken) => {
      state = { ...state, broken };
    },
    watchJournal: (journal) => void collectors.push(journalCollector(journal, config.journal)),
    watchBus: (status, journal) => {
      collectors.push(busCollector(status, journal, () => clock.now().wallMs));
    },
    watchVms: (engine) => {
      const { policy } = state;
      if (policy === null) return;
      collectors.push(
        vmCollector({
          survey: () => engine.survey(),
          policy: () => state.policy ?? policy,
          maxSeries: metrics.vmSeries,
        }),
      );
    },
  };
};
