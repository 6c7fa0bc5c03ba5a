import type { DriverConfig, VmConfig } from '../config/config.js';
import type { Driver } from './driver.js';

type Kind = DriverConfig['kind'];

/** A VM whose driver is of this kind. */
export type VmConfigOf<K extends Kind> = VmConfig & {
  readonly driver: Extract<DriverConfig, { readonly kind: K }>;
};

/** Makes the driver of one VM. */
export type DriverFactory<K extends Kind> = (vm: VmConfigOf<K>) => Driver;

/** A factory for each kind of driver that the configuration knows; the composition root fills it. */
export type DriverRegistry = { readonly [K in Kind]: DriverFactory<K> };

export const createDriver = (registry: DriverRegistry, vm: VmConfig): Driver => {
  switch (vm.driver.kind) {
    case 'qemu':
      return registry.qemu({ ...vm, driver: vm.driver });
    case 'agent':
      return registry.agent({ ...vm, driver: vm.driver });
    case 'observe':
      return registry.observe({ ...vm, driver: vm.driver });
  }
};
