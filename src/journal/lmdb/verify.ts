import { Buffer } from 'node:buffer';
import { setImmediate } from 'node:timers/promises';
import type { Sequence } from '../journal.js';
import { readBounds } from './claim.js';
import { expiryKey, historyKey, readHistoryKey, readSequenceKey, sequenceKey } from './keys.js';
import type { Store, Table } from './store.js';
import { readRecordValue, readRowValue } from './stored.js';

export interface VerifyOptions {
  /** What is wrong with a record's bytes; null: nothing. */
  readonly checkRecord: (record: {
    readonly sequence: Sequence;
    readonly vm: string;
    readonly bytes: Uint8Array;
  }) => string | null;
  /** The same of a row. */
  readonly checkRow?: (row: { readonly key: string; readonly value: Uint8Array }) => string | null;
  /** May take its time: the walk waits for it. */
  readonly onProblem: (problem: string) => void | Promise<void>;
  /** Entries walked so far, of all there were at the start. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface VerifyReport {
  readonly records: number;
  readonly historyEntries: number;
  readonly rows: number;
  readonly problems: number;
}

/** Entries walked in one snapshot, without giving the event loop a turn. */
const SLICE = 1024;

/** Walks every entry once, in slices, so that memory stays bounded and a writer is never held up. */
export async function verifyStore(
  store: Store,
  dir: string,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const walk = new Walk(store, options);
  const { oldest, newest } = readBounds(store, dir);
  const records = await walk.records(oldest, newest);
  const historyEntries = await walk.history(newest);
  const rows = await walk.rows();
  await walk.expiry();
  await walk.sayRest();
  return { records, historyEntries, rows, problems: walk.problems };
}

class Walk {
  readonly #store: Store;
  readonly #options: VerifyOptions;
  readonly #total: number;
  readonly #unsaid: string[] = [];
  #done = 0;
  problems = 0;

  constructor(store: Store, options: VerifyOptions) {
    this.#store = store;
    this.#options = options;
    const { records, history, rows, expiry } = store;
    this.#total = [records, history, rows, expiry]
      .map((table) => (table.getStats() as { entryCount: number }).entryCount)
      .reduce((sum, count) => sum + count, 0);
  }

  /** What was appended after the start is left out; what is dropped meanwhile ends up below `oldest`. */
  async records(oldest: Sequence, newest: Sequence): Promise<number> {
    const { records, history, meta } = this.#store;
    let expected = oldest;
    let count = 0;
    const range = { start: sequenceKey(oldest), end: sequenceKey(newest + 1) };
    await this.#each(records, range, (key, value) => {
      const sequence = readSequenceKey(key);
      const floor = Number(meta.get('oldest'));
      if (expected < floor) expected = Math.min(floor, sequence);
      if (sequence !== expected) this.#gap(expected, sequence - 1);
      expected = sequence + 1;
      count += 1;
      const record = readRecordValue(value);
      if (!record) {
        this.#problem(`record ${sequence} is cut short: ${value.length} bytes`);
        return;
      }
      const vm = Buffer.from(record.vm).toString();
      const wrong = this.#options.checkRecord({ sequence, vm, bytes: record.bytes });
      if (wrong) this.#problem(`record ${sequence}: ${wrong}`);
      if (vm !== '' && !history.doesExist(historyKey(record.vm, sequence))) {
        this.#problem(`record ${sequence} is missing from the history of VM '${vm}'`);
      }
    });
    if (expected <= newest) this.#gap(expected, newest);
    return count;
  }

  async history(newest: Sequence): Promise<number> {
    const { history, records, meta } = this.#store;
    let count = 0;
    await this.#each(history, {}, (key) => {
      const { vm, sequence } = readHistoryKey(key);
      const value = records.get(sequenceKey(sequence));
      const record = value && readRecordValue(value);
      // Entries of records that were dropped go together with them, a bite at a time.
      if (sequence > newest || sequence < Number(meta.get('oldest'))) return;
      count += 1;
      if (record && Buffer.from(record.vm).toString() === vm) return;
      const instead = record ? 'which belongs to another' : 'which is not there';
      this.#problem(`the history of VM '${vm}' names record ${sequence}, ${instead}`);
    });
    return count;
  }

  async rows(): Promise<number> {
    const { rows, expiry } = this.#store;
    let count = 0;
    await this.#each(rows, {}, (key, value) => {
      count += 1;
      const name = Buffer.from(key).toString();
      if (!Buffer.from(name).equals(key)) this.#problem(`a row's key is no UTF-8: ${name}`);
      const row = readRowValue(value);
      if (!row) {
        this.#problem(`row '${name}' is cut short: ${value.length} bytes`);
        return;
      }
      const wrong = this.#options.checkRow?.({ key: name, value: row.bytes });
      if (wrong) this.#problem(`row '${name}': ${wrong}`);
      if (row.expiresAtMs > 0 && !expiry.doesExist(expiryKey(row.expiresAtMs, key))) {
        this.#problem(`row '${name}' would never expire: it has no entry in the index by time`);
      }
    });
    return count;
  }

  async expiry(): Promise<void> {
    await this.#each(this.#store.expiry, {}, (key) => {
      if (key.length <= 8) this.#problem('the index by time has an entry that names no row');
    });
  }

  async #each(
    table: Table,
    range: { start?: Uint8Array; end?: Uint8Array },
    visit: (key: Uint8Array, value: Uint8Array) => void,
  ): Promise<void> {
    let from = range;
    for (;;) {
      let last: Uint8Array | null = null;
      let count = 0;
      for (const { key, value } of table.getRange({ ...from, limit: SLICE })) {
        visit(key, value);
        last = key;
        count += 1;
      }
      await this.sayRest();
      this.#done += count;
      this.#options.onProgress?.(this.#done, Math.max(this.#done, this.#total));
      if (!last || count < SLICE) return;
      // The least key behind the last one.
      from = { ...range, start: Buffer.concat([last, new Uint8Array(1)]) };
      await setImmediate();
      this.#store.env.resetReadTxn();
    }
  }

  async sayRest(): Promise<void> {
    for (const problem of this.#unsaid.splice(0)) await this.#options.onProblem(problem);
  }

  #gap(first: Sequence, last: Sequence): void {
    this.#problem(
      first === last ? `record ${first} is missing` : `records ${first} to ${last} are missing`,
    );
  }

  #problem(text: string): void {
    this.problems += 1;
    this.#unsaid.push(text);
  }
}
