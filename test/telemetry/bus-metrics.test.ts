import { expect, test } from 'vitest';
import { crashReport } from '../support/engine-bench.js';
import { startMetricsApp } from '../support/metrics-app.js';
import { describePart } from '../support/parts.js';
import { startRedisProcess } from '../support/redis-process.js';

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
