import type { JournalConfig } from '../../config/config.js';
import type { Journal } from '../../journal/journal.js';
import { type Collector, sample } from './collector.js';

export const journalCollector = (
  journal: Pick<Journal, 'status'>,
  limits: JournalConfig,
): Collector => ({
  group: 'journal',
  collect: () => {
    const { oldest, newest, usedBytes, recordBytes, freeBytes, refusing, waitingMs } =
      journal.status();
    return [
      sample('vmwarden_journal_records', newest === 0 ? 0 : newest - oldest + 1),
      sample('vmwarden_journal_newest_sequence', newest),
      sample('vmwarden_journal_used_bytes', usedBytes),
      sample('vmwarden_journal_record_bytes', recordBytes),
      sample('vmwarden_journal_free_bytes', freeBytes),
      sample('vmwarden_journal_reserve_bytes', limits.reserveBytes),
      sample('vmwarden_journal_retention_bytes', limits.maxBytes),
      sample('vmwarden_journal_hard_limit_bytes', limits.hardMaxBytes),
      sample('vmwarden_journal_refusing', refusing === null ? 0 : 1),
      sample('vmwarden_journal_commit_waiting_seconds', waitingMs / 1_000),
    ];
  },
});
