import { Buffer } from 'node:buffer';
import { setImmediate } from 'node:timers/promises';
import { checkQuery } from '../check-input.js';
import type { ReadBatch, ReadQuery, Row, Sequence, StoredRecord } from '../journal.js';
import { trimmed } from '../journal-fault.js';
import { corrupt } from './errors.js';
import { historyKey, prefixEnd, readHistoryKey, scratchSequenceKey, sequenceKey } from './keys.js';
import type { Store } from './store.js';
import { copyRecord, readRecordValue, readRowValue } from './stored.js';

/** Which records a reader may see. */
export interface Window {
  readonly oldest: Sequence;
  readonly newest: Sequence;
}

/** So much is read without giving the event loop a turn. */
const SLICE_RECORDS = 128;
const SLICE_ROWS = 512;

/** Reads what is durable. Each call sees the newest transaction; nothing is held between two slices of a read. */
export class View {
  readonly #store: Store;
  readonly #dir: string;
  readonly #window: () => Window;

  constructor(store: Store, dir: string, window: () => Window) {
    this.#store = store;
    this.#dir = dir;
    this.#window = window;
  }

  /** The next read sees everything committed until now. */
  refresh(): void {
    this.#store.env.resetReadTxn();
  }

  async read(query: ReadQuery): Promise<ReadBatch> {
    const { after, vm, limit, maxBytes } = checkQuery(query);
    const { oldest } = this.#window();
    if (after < oldest - 1) throw trimmed(after, oldest);

    const records: StoredRecord[] = [];
    let scanned = after;
    let room = maxBytes;
    for (;;) {
      const window = this.#window();
      // Trimmed while we gave the loop a turn: what we have is a whole beginning.
      if (scanned < window.oldest - 1) return { records, scanned };
      const wanted = Math.min(SLICE_RECORDS, limit - records.length);
      const slice = vm
        ? this.#historySlice(vm, scanned, window, wanted)
        : this.#slice(scanned, window, wanted);
      for (const record of slice) {
        if (vm === '' && record.ofVm) {
          scanned = record.sequence;
          continue;
        }
        room -= record.bytes.length;
        if (room < 0 && records.length > 0) return { records, scanned };
        records.push({ sequence: record.sequence, bytes: record.bytes });
        scanned = record.sequence;
      }
      if (slice.length < wanted) return { records, scanned: Math.max(after, window.newest) };
      if (records.length === limit) return { records, scanned };
      await setImmediate();
    }
  }

  lookup(key: string): Uint8Array | undefined {
    const value = this.#store.rows.get(Buffer.from(key));
    return value && this.#rowBytes(key, value);
  }

  /** All of one snapshot. */
  async rows(prefix: string): Promise<readonly Row[]> {
    const { rows: table } = this.#store;
    const start = Buffer.from(prefix);
    const end = prefixEnd(start);
    const transaction = table.useReadTransaction();
    try {
      const rows: Row[] = [];
      const range = {
        ...(start.length > 0 && { start }),
        ...(end && { end }),
        transaction,
      };
      for (const { key, value } of table.getRange(range)) {
        const text = Buffer.from(key).toString();
        rows.push({ key: text, value: this.#rowBytes(text, value) });
        if (rows.length % SLICE_ROWS === 0) await setImmediate();
      }
      return rows;
    } finally {
      transaction.done();
    }
  }

  newestBefore(wallMs: number): Sequence {
    const { oldest, newest } = this.#window();
    let before = oldest - 1;
    let from = newest + 1;
    while (from - before > 1) {
      const middle = Math.floor((before + from) / 2);
      if (this.#appendedAt(middle) < wallMs) before = middle;
      else from = middle;
    }
    return before;
  }

  #slice(after: Sequence, { newest }: Window, limit: number): Kept[] {
    if (after >= newest) return [];
    const slice: Kept[] = [];
    const last = Math.min(newest, after + limit);
    // Keys are known, and a get without what a cursor allocates is four times as fast.
    for (let sequence = after + 1; sequence <= last; sequence++) slice.push(this.#record(sequence));
    return slice;
  }

  #historySlice(vm: string, after: Sequence, { newest }: Window, limit: number): Kept[] {
    if (after >= newest) return [];
    const name = Buffer.from(vm);
    const range = { start: historyKey(name, after + 1), end: historyKey(name, newest + 1), limit };
    const sequences: Sequence[] = [];
    for (const key of this.#store.history.getKeys(range)) {
      sequences.push(readHistoryKey(key).sequence);
    }
    return sequences.map((sequence) => this.#record(sequence));
  }

  #record(sequence: Sequence): Kept {
    // Overwritten by the next read: what is wanted of it is copied out.
    const value = this.#store.records.getBinaryFast(scratchSequenceKey(sequence));
    if (!value) throw this.#missing(sequence);
    const record = copyRecord(value);
    if (!record) throw this.#cutShort(sequence);
    return { sequence, ofVm: record.ofVm, bytes: record.bytes };
  }

  #appendedAt(sequence: Sequence): number {
    const value = this.#store.records.get(sequenceKey(sequence));
    if (!value) throw this.#missing(sequence);
    const record = readRecordValue(value);
    if (!record) throw this.#cutShort(sequence);
    return record.atMs;
  }

  #cutShort(sequence: Sequence): Error {
    return corrupt(this.#dir, `record ${sequence} is cut short`);
  }

  #rowBytes(key: string, value: Uint8Array): Uint8Array {
    const row = readRowValue(value);
    if (!row) throw corrupt(this.#dir, `row '${key}' is cut short`);
    return row.bytes;
  }

  #missing(sequence: Sequence): Error {
    return corrupt(this.#dir, `record ${sequence} is missing`);
  }
}

interface Kept extends StoredRecord {
  readonly ofVm: boolean;
}
