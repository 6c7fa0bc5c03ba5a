import type { Journal, ReadQuery, Sequence, StoredRecord } from '../journal/journal.js';
import type { RecordFilter } from './record-filter.js';

export type Readable = Pick<Journal, 'read' | 'status'>;

export interface Page {
  /** In the order asked for. */
  readonly records: readonly StoredRecord[];
  /** Where the next page begins; null: this was the last. */
  readonly next: Sequence | null;
}

/** What one page may hold, and how much of the journal it may be sought in: the caller's next page goes on from there. */
const PAGE_BYTES = 1024 * 1024;
const PAGE_SCANS = 20_000;
const READ_RECORDS = 512;
/** A window looked through backwards; doubles while it holds little that is wanted. */
const FIRST_WINDOW = 256;
const MAX_WINDOW = 8_192;

/** Up to `size` wanted records behind `after`, oldest first. */
export const pageForward = async (
  journal: Readable,
  filter: RecordFilter,
  size: number,
  after: Sequence,
): Promise<Page> => {
  const { newest } = journal.status();
  const records: StoredRecord[] = [];
  let room = PAGE_BYTES;
  let scanned = after;
  while (scanned < newest && scanned - after < PAGE_SCANS) {
    const batch = await journal.read(query(filter, scanned));
    if (batch.scanned <= scanned) break;
    for (const record of batch.records) {
      if (!filter.wants(record.bytes)) continue;
      room -= record.bytes.length;
      if (room < 0 && records.length > 0) return { records, next: record.sequence - 1 };
      records.push(record);
      if (records.length === size) {
        return { records, next: record.sequence < newest ? record.sequence : null };
      }
    }
    scanned = batch.scanned;
  }
  return { records, next: scanned < newest ? scanned : null };
};

/** Up to `size` wanted records before `before`, newest first. What retention dropped meanwhile is not missed. */
export const pageBackward = async (
  journal: Readable,
  filter: RecordFilter,
  size: number,
  before: Sequence,
): Promise<Page> => {
  const records: StoredRecord[] = [];
  let room = PAGE_BYTES;
  let scans = 0;
  let window = FIRST_WINDOW;
  let end = before;
  for (;;) {
    const first = Math.max(1, journal.status().oldest);
    if (end <= first) return { records, next: null };
    if (scans >= PAGE_SCANS) return { records, next: end };
    const start = Math.max(first, end - window);
    const found = await lastWanted(journal, filter, { start, end }, size - records.length);
    // A VM's history is found by its key: what lies between costs nothing.
    if (filter.onlyVm === null) scans += end - start;
    for (const record of found.toReversed()) {
      room -= record.bytes.length;
      if (room < 0 && records.length > 0) return { records, next: record.sequence + 1 };
      records.push(record);
    }
    if (records.length === size) {
      const last = records.at(-1)?.sequence ?? first;
      return { records, next: last > first ? last : null };
    }
    end = start;
    window = filter.onlyVm === null ? Math.min(MAX_WINDOW, window * 2) : window * 8;
  }
};

/** The last `size` wanted records from `start` to before `end`, oldest first. */
const lastWanted = async (
  journal: Readable,
  filter: RecordFilter,
  { start, end }: { readonly start: Sequence; readonly end: Sequence },
  size: number,
): Promise<readonly StoredRecord[]> => {
  let found: StoredRecord[] = [];
  for (let scanned = start - 1; scanned < end - 1; ) {
    const batch = await journal.read(
      query(filter, Math.max(scanned, journal.status().oldest - 1), end - 1 - scanned),
    );
    for (const record of batch.records) {
      if (record.sequence >= end) return found.slice(-size);
      if (filter.wants(record.bytes)) found.push(record);
    }
    if (found.length > 2 * size) found = found.slice(-size);
    if (batch.scanned <= scanned) break;
    scanned = batch.scanned;
  }
  return found.slice(-size);
};

const query = ({ onlyVm }: RecordFilter, after: Sequence, atMost = READ_RECORDS): ReadQuery => ({
  after,
  limit: Math.min(READ_RECORDS, Math.max(1, atMost)),
  ...(onlyVm === null ? {} : { vm: onlyVm }),
});
