import type { DriverConfig, VmConfig } from '../config/config.js';
import type { Driver } from './driver.js';

/** Makes the driver of one VM. */
export type DriverFactory = (vm: VmConfig) => Driver;

/** A factory for each kind of driver that the configuration knows; the composition root fills it. */
export type DriverRegistry = Readonly<Record<DriverConfig['kind'], DriverFactory>>;

export const createDriver = (registry: DriverRegistry, vm: VmConfig): Driver =>
  registry[vm.driver.kind](vm);
