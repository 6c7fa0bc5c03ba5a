import { compactJournal, KEPT_FILE } from '../journal/lmdb/compact.js';
import { saySize } from '../lib/size.js';
import { GOOD, type Io, printJson, printLine } from './io.js';
import { entryChecks } from './journal-check.js';
import { createProgress } from './progress.js';

export interface CompactCommandOptions {
  readonly json: boolean;
  readonly keep: boolean;
  readonly pid: number;
}

/** Makes the journal in `dir` as small as what is live in it, while nobody writes to it. */
export const journalCompact = async (
  io: Io,
  dir: string,
  { json, keep, pid }: CompactCommandOptions,
): Promise<number> => {
  const progress = createProgress(io, 'checking the copy', json);
  try {
    const verify = { ...entryChecks, onProgress: progress.show };
    const report = await compactJournal({ dir, pid, keep, verify });
    progress.clear();
    if (json) {
      await printJson(io.stdout, { dir, ...report, kept: keep ? KEPT_FILE : null });
    } else {
      const { records, beforeBytes, afterBytes } = report;
      const sizes = `${saySize(beforeBytes)} before, ${saySize(afterBytes)} now`;
      await printLine(io.stdout, `${records} records: ${sizes}${keep ? `; ${KEPT_FILE}` : ''}`);
    }
    return GOOD;
  } finally {
    progress.clear();
  }
};
