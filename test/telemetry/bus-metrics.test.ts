import { expect, test } from 'vitest';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import { type BusStatus, busCollector } from '../../src/telemetry/metrics/bus-collector.js';
import { crashReport } from '../support/engine-bench.js';
import { startMetricsApp } from '../support/metrics-app.js';
import { describePart } from '../support/parts.js';
import { startRedisProcess } from '../support/redis-process.js';

test('how many readers are about to lose records, and how far the worst is', async () => {
  const journal = new MemoryJournal();
  const of = async (shares: readonly number[]) => {
    const status: BusStatus = {
      state: 'relaying',
      fault: null,
      warnings: [],
      readersAtRisk: shares.map((share) => ({ share })),
      published: 0,
      lag: 0,
    };
    const samples = await busCollector(
      () => status,
      journal,
      () => 0,
    ).collect();
    return samples.flatMap(({ name, value }) => (/reader/.test(name) ? [[name, value]] : []));
  };
  expect(await of([0.9, 1.2])).toEqual([
    ['vmwarden_bus_readers_at_risk', 2],
    ['vmwarden_bus_reader_risk', 1.2],
  ]);
  expect(await of([])).toEqual([
    ['vmwarden_bus_readers_at_risk', 0],
    ['vmwarden_bus_reader_risk', 0],
  ]);
});

describePart('redis-server', 'the metrics of the fleet bus', () => {
  test('its state, its lag in records and seconds, and why it waits', async () => {
    const redis = await startRedisProcess();
    try {
      const { app, until } = await startMetricsApp(null, {
        bus: {
          kind: 'redis',
          fleet: 'f',
          at: { kind: 'single', host: '127.0.0.1', port: redis.port },
          tls: null,
          username: null,
          passwordFile: null,
          partitions: 4,
          minReplicas: 0,
          trim: { maxAgeMs: 86_400_000, maxLength: 10_000 },
        },
      });
      const state = 'vmwarden_bus_state';
      const before = await until('all is published', (now) => {
        return now.value(state, { state: 'relaying' }) === 1 && now.value(LAG) === 0;
      });
      expect(before.value('vmwarden_bus_lag_seconds')).toBe(0);
      expect(before.value('vmwarden_bus_published_sequence')).toBe(
        before.value('vmwarden_journal_newest_sequence'),
      );
      await redis.stop();
      await app.engine.report(crashReport({ vm: 'other' }));
      const away = await until('it waits, and lags by the clock', (now) => {
        const lagSeconds = now.value('vmwarden_bus_lag_seconds') ?? 0;
        return now.value(state, { state: 'waiting' }) === 1 && lagSeconds > 0;
      });
      expect(away.value(LAG)).toBeGreaterThan(0);
      expect(away.value(state, { state: 'relaying' })).toBe(0);
      const failures = away.families.get('vmwarden_bus_failures_total')?.samples ?? [];
      expect(failures.map(({ labels }) => labels)).toEqual([{ reason: 'BUS_UNAVAILABLE' }]);
    } finally {
      await redis.end();
    }
  });
});

const LAG = 'vmwarden_bus_lag_records';
