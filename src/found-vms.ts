import type { Config, VmConfig } from './config/config.js';
import type { Discovery, DiscoveryPorts } from './discovery/discovery.js';
import type { RunningEngine } from './engine/create-engine.js';
import type { EngineVm } from './engine/roster.js';

/** null: no pattern is configured. */
export const findVms = async (
  { discover, vms }: Config,
  ports: Omit<DiscoveryPorts, 'patterns' | 'named'>,
): Promise<Discovery | null> => {
  if (discover.length === 0) return null;
  // Only then: who names all VMs need not have it in memory.
  const { openDiscovery } = await import('./discovery/discovery.js');
  return openDiscovery({ ...ports, patterns: discover, named: vms });
};

/** Keeps the engine's VMs, and the labels that servers filter by, as their sockets are. */
export const followFound = (
  discovery: Discovery,
  engine: RunningEngine,
  labels: Map<string, VmConfig['labels']>,
  engineVm: (vm: VmConfig) => EngineVm,
): void =>
  discovery.follow({
    attach: async (vm) => {
      labels.set(vm.id, vm.labels);
      await engine.attach(engineVm(vm));
    },
    retire: async (id) => {
      const retired = await engine.retire(id);
      if (retired) labels.delete(id);
      return retired;
    },
    look: (id) => {
      const { contact, state } = engine.vm(id);
      return { connected: contact === 'connected', exited: state === 'exited' };
    },
  });
