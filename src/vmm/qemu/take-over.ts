import type { ReleaseConfig } from '../../config/config.js';
import type { TakeOver } from '../driver.js';
import { setAction } from './commands.js';
import type { Command } from './messages.js';

/** The `set-action` that makes QEMU wait for vmwarden where it should, and do as released elsewhere. */
export const takeOverCommand = (takeOver: TakeOver, release: ReleaseConfig): Command =>
  setAction({
    panic: takeOver.panic ? 'pause' : release.panic,
    shutdown: takeOver.shutdown ? 'pause' : release.shutdown,
    watchdog: takeOver.watchdog ? 'pause' : release.watchdog,
  });

/** Puts back what take-over changed. `reboot` is put back after each restart already. */
export const releaseCommand = (release: ReleaseConfig): Command =>
  setAction({ panic: release.panic, shutdown: release.shutdown, watchdog: release.watchdog });
