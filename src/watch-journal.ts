import type { Journal } from './journal/journal.js';
import type { Fault } from './lib/fault.js';
import type { HealthBoard } from './server/health-board.js';

export interface WatchJournalOptions {
  readonly journal: Pick<Journal, 'broken' | 'status'>;
  readonly health: Pick<HealthBoard, 'up' | 'degraded' | 'down'>;
  /** Called once when nothing can be written any more. */
  readonly onBroken: (fault: Fault) => void;
  /** How often a full or silent disk is noticed, that it is well again, and that the journal is broken. Default 1 s. */
  readonly lookMs?: number;
  /** A disk that is only slow takes less than this for a commit. Default 5 s. */
  readonly stalledMs?: number;
}

/** Says on the health board how the journal does. Returns the way to stop it. */
export const watchJournal = ({
  journal,
  health,
  onBroken,
  lookMs = 1_000,
  stalledMs = 5_000,
}: WatchJournalOptions): (() => Promise<void>) => {
  const look = (): void => {
    if (journal.broken !== null) {
      clearInterval(timer);
      health.down('journal', journal.broken.message);
      onBroken(journal.broken);
      return;
    }
    const { refusing, waitingMs } = journal.status();
    if (waitingMs >= stalledMs) {
      // In steps, so that it isn't told anew at each look.
      const seconds = (Math.floor(waitingMs / stalledMs) * stalledMs) / 1_000;
      health.degraded('journal', `no commit has come back for ${seconds} s: the disk hangs`);
    } else if (refusing !== null) health.degraded('journal', refusing);
    else health.up('journal');
  };
  const timer = setInterval(look, lookMs);
  timer.unref();
  look();
  return async () => clearInterval(timer);
};
