import type { VmConfig } from '../../config/config.js';
import type { Logger } from '../../lib/logger.js';
import type { AgentDesk } from '../attach.js';
import { type AgentDriver, createAgentDriver } from './driver.js';
import { otherDriverFault, unknownVmFault } from './errors.js';
import type { Tuning } from './tuning.js';

export interface Agents extends AgentDesk {
  /** The driver of a VM of the configuration. */
  driver(vm: VmConfig): AgentDriver;
}

/** Brings agents together with the drivers of their VMs. Only VMs of the configuration take one. */
export const createAgents = (
  vms: readonly VmConfig[],
  log: Pick<Logger, 'debug' | 'info' | 'warn'>,
  tuning: Partial<Tuning> = {},
): Agents => {
  const kinds = new Map(vms.map(({ id, driver }) => [id, driver.kind]));
  const drivers = new Map<string, AgentDriver>();
  return {
    size: vms.filter(({ driver }) => driver.kind === 'agent').length,
    driver: (vm) => {
      const driver = createAgentDriver({ vm, log, tuning });
      drivers.set(vm.id, driver);
      return driver;
    },
    attach: (hello, link) => {
      const driver = drivers.get(hello.vm);
      if (driver !== undefined) return driver.attach(hello, link);
      const kind = kinds.get(hello.vm);
      throw kind === undefined ? unknownVmFault(hello.vm) : otherDriverFault(hello.vm, kind);
    },
    release: async (signal) => {
      await Promise.allSettled([...drivers.values()].map((driver) => driver.release(signal)));
    },
  };
};
