import { Buffer } from 'node:buffer';
import type { Fault } from '../../lib/fault.js';
import type { Sequence } from '../journal.js';
import { belowReserve } from '../journal-fault.js';
import type { PackedCommit } from './batch.js';
import type { Bounds } from './claim.js';
import { noSpace, toFault } from './errors.js';
import { type Headroom, pagesFor, pagesForBite, SMALL_PAGES, TOP_UP_BYTES } from './headroom.js';
import { expiryKey, historyKey, readExpiryKey, readSequenceKey, sequenceKey } from './keys.js';
import { FAULT_AT, FAULT_COUNT, FAULT_KILL, type WriterData } from './protocol.js';
import { freeBytes, type Store } from './store.js';
import { readRecordValue, readRowValue } from './stored.js';

export interface Outcome {
  /** So many of the commits, from the first on, are durable. */
  readonly count: number;
  /** Why the next one is not. */
  readonly fault: Fault | null;
  readonly belowReserve: boolean;
}

/** Records dropped, or rows swept, in one transaction: about a millisecond that a commit may have to wait. */
const BITE = 128;
const NOTHING = Buffer.alloc(1);
/** Keys in order are added at the end of the tree, which fills its pages. */
const APPEND = { append: true };

/** What the writer thread does to the database, without the thread. */
export class Writer {
  readonly #store: Store;
  readonly #data: WriterData;
  readonly #headroom: Headroom;
  #newest: Sequence;
  #oldest: Sequence;
  /** Records below it are gone from the database too. */
  #clean: Sequence;

  constructor(store: Store, data: WriterData, headroom: Headroom, { oldest, newest }: Bounds) {
    this.#store = store;
    this.#data = data;
    this.#headroom = headroom;
    this.#oldest = oldest;
    this.#newest = newest;
    const [first] = store.records.getKeys({ limit: 1 });
    this.#clean = first ? Math.min(readSequenceKey(first), oldest) : oldest;
  }

  /** All in one transaction; when that fails one by one, so that only the one to blame fails. */
  apply(commits: readonly PackedCommit[]): Outcome {
    const free = freeBytes(this.#data.dir);
    const refusing = free < this.#data.reserveBytes;
    const refused = refusing ? commits.findIndex(({ kind }) => kind === 'ingest') : -1;
    const admitted = refused < 0 ? commits : commits.slice(0, refused);

    const { count, fault } = this.#commitAll(admitted);
    if (fault || refused < 0) return { count, fault, belowReserve: false };
    return { count, fault: belowReserve(free, this.#data.reserveBytes), belowReserve: true };
  }

  #commitAll(commits: readonly PackedCommit[]): { count: number; fault: Fault | null } {
    if (commits.length === 0) return { count: 0, fault: null };
    const together = this.#transact(commits);
    if (!together) return { count: commits.length, fault: null };
    if (commits.length === 1) return { count: 0, fault: together };
    for (const [count, commit] of commits.entries()) {
      const fault = this.#transact([commit]);
      if (fault) return { count, fault };
    }
    return { count: commits.length, fault: null };
  }

  #transact(commits: readonly PackedCommit[]): Fault | null {
    const { env } = this.#store;
    if (!this.#headroom.ensure(pagesFor(commits))) return noSpace(this.#data.dir);
    let newest = this.#newest;
    let oldest = this.#oldest;
    try {
      env.transactionSync(() => {
        for (const commit of commits) {
          this.#put(commit, newest);
          newest += commit.records.length;
          oldest = Math.max(oldest, commit.dropThrough + 1);
        }
        if (oldest > this.#oldest) this.#store.meta.putSync('oldest', oldest);
      });
    } catch (error) {
      return toFault(error, { dir: this.#data.dir, freeBytes: freeBytes(this.#data.dir) });
    }
    this.#newest = newest;
    this.#oldest = oldest;
    return null;
  }

  #put(commit: PackedCommit, newest: Sequence): void {
    const { records, history, rows, expiry } = this.#store;
    this.#injectFault(commit.first);
    if (commit.first !== newest + 1) {
      throw new Error(`sequence ${commit.first} does not follow ${newest}`);
    }
    let sequence = commit.first;
    for (const value of commit.records) {
      // lmdb's types leave out its answer: false when the key was not behind all others.
      const stored: unknown = records.putSync(sequenceKey(sequence), value, APPEND);
      if (stored !== true) {
        throw new Error(`record ${sequence} exists already`);
      }
      const vm = readRecordValue(value)?.vm;
      if (vm && vm.length > 0) history.putSync(historyKey(vm, sequence), NOTHING);
      sequence += 1;
    }
    for (const { key, value } of commit.rows) {
      if (!value) {
        rows.removeSync(key);
        continue;
      }
      rows.putSync(key, value);
      const expiresAtMs = readRowValue(value)?.expiresAtMs;
      if (expiresAtMs) expiry.putSync(expiryKey(expiresAtMs, key), NOTHING);
    }
  }

  /** Frees a bite of the records that were dropped; returns up to where that is done. */
  freeDropped(): Sequence {
    const { env, records, history } = this.#store;
    if (this.#clean === this.#oldest) return this.#oldest - 1;
    if (!this.#headroom.ensure(pagesForBite(BITE))) throw noSpace(this.#data.dir);
    let clean = this.#clean;
    env.transactionSync(() => {
      const range = { end: sequenceKey(this.#oldest), limit: BITE };
      const bite = [...records.getRange(range)];
      for (const { key, value } of bite) {
        const vm = readRecordValue(value)?.vm;
        if (vm && vm.length > 0) history.removeSync(historyKey(vm, readSequenceKey(key)));
        records.removeSync(key);
      }
      const last = bite.at(-1);
      clean = last && bite.length === BITE ? readSequenceKey(last.key) + 1 : this.#oldest;
    });
    this.#clean = clean;
    return clean - 1;
  }

  get hasDropped(): boolean {
    return this.#clean < this.#oldest;
  }

  /** Removes a bite of the rows that expired before `nowMs`; true when there may be more. */
  sweepExpired(nowMs: number): boolean {
    const { env, rows, expiry } = this.#store;
    const due = () => [
      ...expiry.getKeys({ end: expiryKey(nowMs, NOTHING.subarray(1)), limit: BITE }),
    ];
    if (due().length === 0) return false;
    if (!this.#headroom.ensure(pagesForBite(BITE))) throw noSpace(this.#data.dir);
    return env.transactionSync(() => {
      const bite = due();
      for (const key of bite) {
        const { atMs, row } = readExpiryKey(key);
        const value = rows.get(row);
        // Written again since with another expiry, or none: that one has an entry of its own.
        if (value && readRowValue(value)?.expiresAtMs === atMs) rows.removeSync(row);
        expiry.removeSync(key);
      }
      return bite.length === BITE;
    });
  }

  /** True when `topUp` is due. */
  get mayLackSpace(): boolean {
    return this.#headroom.mayBeLow;
  }

  /** Not at the cost of the reserve. */
  topUp(): void {
    const { dir, reserveBytes } = this.#data;
    if (freeBytes(dir) - TOP_UP_BYTES > reserveBytes) this.#headroom.topUp();
  }

  close(): void {
    try {
      // On a full disk the row stays; its socket goes, and that is what counts.
      if (this.#headroom.ensure(SMALL_PAGES)) this.#store.meta.removeSync('owner');
    } catch {
      // The same.
    }
    this.#headroom.close();
    void this.#store.env.close();
  }

  #injectFault(first: Sequence): void {
    const { faults } = this.#data;
    if (faults && Atomics.load(faults, FAULT_AT) === first) {
      Atomics.add(faults, FAULT_COUNT, 1);
      Atomics.notify(faults, FAULT_COUNT);
      throw new Error('told to fail');
    }
  }

  /** Throws when a test asked for the thread's death. */
  checkKilled(): void {
    const { faults } = this.#data;
    if (faults && Atomics.load(faults, FAULT_KILL) !== 0) throw new Error('told to die');
  }
}
