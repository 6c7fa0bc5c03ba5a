import type { Policy } from '../../policy/policy.js';
import type { HealthView } from '../../server/health-board.js';
import { type Collector, sample } from './collector.js';

/** The policy as the file and the engine have it. */
export interface PolicyState {
  /** In force; null: the engine has not started. */
  readonly policy: Policy | null;
  /** Since when, milliseconds since the epoch. */
  readonly sinceMs: number;
  /** The file is broken now. */
  readonly broken: boolean;
}

/** The same that gRPC health and /readyz tell. */
export const healthCollector = (health: HealthView, state: () => PolicyState): Collector => ({
  group: 'health',
  collect: () => {
    const { serving, detail } = health.current();
    const { policy, sinceMs, broken } = state();
    return [
      sample('vmwarden_ready', serving ? 1 : 0),
      sample('vmwarden_health_reasons', detail.length),
      sample('vmwarden_policy_last_reload_failed', broken ? 1 : 0),
      ...(policy === null
        ? []
        : [
            sample('vmwarden_policy_info', 1, {
              name: policy.name,
              hash: policy.hash,
              mode: policy.mode,
            }),
            sample('vmwarden_policy_loaded_timestamp_seconds', sinceMs / 1000),
          ]),
    ];
  },
});
