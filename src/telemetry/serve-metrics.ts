import type { Config } from '../config/config.js';
import type { Clock } from '../lib/clock.js';
import type { Logger } from '../lib/logger.js';
import type { HealthBoard } from '../server/health-board.js';
import type { Metrics } from './metrics/create-metrics.js';
import type { Probes } from './probes.js';

export interface ServedMetrics {
  readonly metrics: Metrics;
  readonly probes: Probes;
}

/** null: not configured. prom-client and node:http are loaded only where somebody reads them. */
export const serveMetrics = async (
  config: Config,
  health: HealthBoard,
  clock: Clock,
  log: Logger,
): Promise<ServedMetrics | null> => {
  const settings = config.metrics;
  if (settings === null) return null;
  const [{ createMetrics }, { startProbes }] = await Promise.all([
    import('./metrics/create-metrics.js'),
    import('./probes.js'),
  ]);
  const metrics = createMetrics({ config, metrics: settings, health, clock });
  return { metrics, probes: await startProbes({ ...settings, health, metrics, log }) };
};
