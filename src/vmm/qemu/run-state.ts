import type { GuestState } from '../driver.js';
import type { Migration } from './commands.js';

/** What is known of a guest apart from QEMU's own word. */
export interface Background {
  readonly migration: Migration;
  /** After it was migrated away it was seen running or stopped here. */
  readonly takenBack: boolean;
  readonly dumping: boolean;
}

/** Statuses in which no migration is under way. Any other word, also one from a later QEMU, means that one is. */
const SETTLED = new Set(['none', 'cancelled', 'failed', 'completed']);

/** QEMU's RunState (qapi/run-state.json) in words that all VMMs share. */
export const guestState = (raw: string, background: Background): GuestState => {
  const { migration, takenBack, dumping } = background;
  if (!SETTLED.has(migration.status)) return 'migrating';
  switch (raw) {
    case 'running':
      return 'running';
    case 'paused':
      return 'paused';
    case 'guest-panicked':
      return 'panicked';
    case 'shutdown':
      return 'shutdown';
    case 'suspended':
      return 'suspended';
    case 'watchdog':
      return 'watchdog';
    case 'internal-error':
    case 'io-error':
      return 'error';
    case 'prelaunch':
      // Reset after it was given away: the guest runs elsewhere, and must not be started here.
      if (givenAway(migration) && !takenBack) return 'migrating';
      return 'prelaunch';
    case 'save-vm':
      // A dump stops a running guest in this state.
      return dumping ? 'paused' : 'migrating';
    case 'inmigrate':
    case 'finish-migrate':
    case 'postmigrate':
    case 'restore-vm':
    case 'colo':
      return 'migrating';
    // `debug` (a debugger holds the guest), and what a later QEMU may call its states.
    default:
      return 'unknown';
  }
};

/** This QEMU sent its guest away, as far as it knows to the end. */
export const givenAway = (migration: Migration): boolean =>
  migration.source && migration.status === 'completed';
