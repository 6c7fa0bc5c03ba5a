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

/** Puts back what take-over changed, and what a restart that could not end may have left changed. */
export const releaseCommands = (release: ReleaseConfig): readonly Command[] => [
  setAction({ panic: release.panic, shutdown: release.shutdown, watchdog: release.watchdog }),
  ...(release.reboot === 'shutdown' ? [setAction({ reboot: 'shutdown' })] : []),
];

/** Which process this driver has told to wait for vmwarden, and has not told otherwise since. */
export class TakenOver {
  /** A boot id; null: whichever answered when it was told, it broke off before it could be identified. */
  #by: { readonly bootId: string | null } | null = null;

  /** Right before the command is written; to whom is found out later. */
  tell(bootId: string | null): void {
    this.#by = { bootId };
  }

  /** A new process begins with what its command line says. */
  holds(bootId: string): boolean {
    return this.#by !== null && (this.#by.bootId === null || this.#by.bootId === bootId);
  }

  clear(): void {
    this.#by = null;
  }
}
