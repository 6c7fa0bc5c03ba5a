import { Record } from '../gen/vmwarden/v1/record.js';
import { openLmdbReader } from '../journal/lmdb/lmdb-reader.js';
import { sequencedRecordJson } from '../record/json.js';
import { GOOD, type Io, printJson } from './io.js';
import { createProgress } from './progress.js';

export interface ExportOptions {
  /** Only records behind this sequence; 0: all that are there. */
  readonly after: number;
  /** Beside each record's JSON its bytes, base64 of the protobuf message: what this version doesn't know isn't lost. */
  readonly bytes: boolean;
}

/**
 * Prints the journal in `dir`: one JSON object that says whose it is, then one a record, as `events --json` does, up
 * to the newest at the start. Also of a journal that is being written.
 */
export const journalExport = async (
  io: Io,
  dir: string,
  options: ExportOptions,
): Promise<number> => {
  const reader = await openLmdbReader({ dir });
  const progress = createProgress(io, 'exporting', false);
  try {
    const { oldest, newest } = reader.status();
    const { id, format } = reader;
    await printJson(io.stdout, { kind: 'journal', id, format, oldest, newest });
    const start = Math.max(options.after, oldest - 1);
    for (let scanned = start; scanned < newest; ) {
      const batch = await reader.read({ after: scanned });
      for (const { sequence, bytes } of batch.records) {
        if (sequence > newest) return GOOD;
        await printJson(io.stdout, {
          ...sequencedRecordJson(sequence, Record.decode(bytes)),
          ...(options.bytes && { bytes: Buffer.from(bytes).toString('base64') }),
        });
      }
      scanned = batch.scanned;
      progress.show(scanned - start, newest - start);
    }
    return GOOD;
  } finally {
    progress.clear();
    await reader.close();
  }
};
