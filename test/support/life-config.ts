import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config, VmConfig } from '../../src/config/config.js';

export interface LifeConfigOptions {
  /** Private and short; the data directory is `data` in it. */
  readonly dir: string;
  /** Written to `policy.yaml` in it; null: none. */
  readonly policy: string | null;
  readonly vms: readonly VmConfig[];
  readonly changes?: Partial<Config>;
}

export const lifeConfig = ({ dir, policy, vms, changes }: LifeConfigOptions): Config => {
  const policyFile = policy === null ? null : join(dir, 'policy.yaml');
  if (policyFile !== null) writeFileSync(policyFile, policy ?? '');
  return {
    host: 'test',
    dataDir: join(dir, 'data'),
    socket: join(dir, 'w.sock'),
    policyFile,
    log: { level: 'info', format: 'json' },
    journal: {
      maxAgeMs: 86_400_000,
      maxBytes: 2 ** 30,
      hardMaxBytes: 2 ** 31,
      reserveBytes: 2 ** 20,
    },
    bus: { kind: 'local' },
    dumps: { dir: join(dir, 'dumps') },
    metrics: null,
    vms,
    discover: [],
    stopTimeoutMs: 5_000,
    ...changes,
  };
};

export const qemuVm = (id: string, socket: string, changes: Partial<VmConfig> = {}): VmConfig => ({
  id,
  uid: '',
  labels: {},
  driver: { kind: 'qemu', socket },
  takeOver: false,
  release: { panic: 'shutdown', shutdown: 'poweroff', watchdog: 'reset', reboot: 'reset' },
  ...changes,
});

/** Answers panics by `plan`, power-offs by powering off, as often as it takes and at once. */
export const policyOf = (plan: string): string => `apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: lives }
spec:
  mode: enforce
  budgets:
    plenty:
      limits: [{ attempts: 1000, within: 1h }]
      delay: { base: 0s, max: 0s }
  rules:
    - name: died
      on: [CRASH, VMM_ERROR, WATCHDOG]
      do: ${plan}
      budget: plenty
      exhausted: [hold]
    - name: asked to stop
      on: [SHUTDOWN]
      do: [powerOff]
  otherwise: [notify]
`;
