import type { ReleaseConfig } from './config.js';
import type { WrittenConfig } from './schema.js';

type Written = NonNullable<WrittenConfig['vms']>[number]['release'];

/** Defaults filled in: what QEMU does by itself. */
export const releaseOf = (written: Written): ReleaseConfig => ({
  panic: written?.panic ?? 'shutdown',
  shutdown: written?.shutdown ?? 'poweroff',
  watchdog: written?.watchdog ?? 'reset',
  reboot: written?.reboot ?? 'reset',
});
