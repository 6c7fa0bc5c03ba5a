import { Buffer } from 'node:buffer';
import { setImmediate } from 'node:timers/promises';
import type { Fault } from '../../lib/fault.js';
import type { Sequence } from '../journal.js';
import { belowReserve } from '../journal-fault.js';
import type { Bounds } from './claim.js';
import { noSpace, toFault } from './errors.js';
import { type Headroom, pagesFor, pagesForBite, SMALL_PAGES, TOP_UP_BYTES } from './headroom.js';
import { expiryKey, historyKey, readExpiryKey, readSequenceKey, sequenceKey } from './keys.js';
import type { PreparedCommit } from './prepare.js';
import { freeBytes, type Store, type Table } from './store.js';
import { readRecordValue, readRowValue } from './stored.js';
import {
  Overtaken,
  removeInBackground,
  type Writes,
  writeAtOnce,
  writeInBackground,
} from './transact.js';

export interface Outcome {
  /** So many of the commits, from the first on, are durable. */
  readonly count: number;
  /** Why the next one is not. */
  readonly fault: Fault | null;
  readonly belowReserve: boolean;
}

/** For tests. */
export interface WriterFaults {
  /** Commits whose first sequence this is fail; 0: none. */
  failAt: Sequence;
  /** The next transaction throws what nobody expects. */
  die: boolean;
  /** Transactions wait for it to resolve, as for a disk that hangs; null: none does. */
  stall: Promise<void> | null;
}

export interface WriterOptions {
  readonly dir: string;
  readonly reserveBytes: number;
  readonly faults?: WriterFaults;
}

/** Records dropped, or rows swept, in one transaction: about a millisecond that a commit may have to wait. */
const BITE = 128;

/** What is done to the database, one call at a time: the caller waits for each before the next. */
export class Writer {
  readonly #store: Store;
  readonly #options: WriterOptions;
  readonly #headroom: Headroom;
  #newest: Sequence;
  #oldest: Sequence;
  /** Records below it are gone from the database too. */
  #clean: Sequence;
  /** The last transaction failed: the next ones are made at once, so that each says by itself why it can't be. */
  #failing = false;

  constructor(store: Store, options: WriterOptions, headroom: Headroom, bounds: Bounds) {
    this.#store = store;
    this.#options = options;
    this.#headroom = headroom;
    this.#oldest = bounds.oldest;
    this.#newest = bounds.newest;
    const [first] = store.records.getKeys({ limit: 1 });
    this.#clean = first ? Math.min(readSequenceKey(first), bounds.oldest) : bounds.oldest;
  }

  /**
   * All in one transaction; when that fails one by one, so that only the one to blame fails. Rejects when nothing may
   * be written any more.
   */
  async apply(commits: readonly PreparedCommit[]): Promise<Outcome> {
    const { dir, reserveBytes } = this.#options;
    const free = freeBytes(dir);
    const refusing = free < reserveBytes;
    const refused = refusing ? commits.findIndex(({ kind }) => kind === 'ingest') : -1;
    const admitted = refused < 0 ? commits : commits.slice(0, refused);

    const { count, fault } = await this.#commitAll(admitted);
    if (fault || refused < 0) return { count, fault, belowReserve: false };
    return { count, fault: belowReserve(free, reserveBytes), belowReserve: true };
  }

  async #commitAll(
    commits: readonly PreparedCommit[],
  ): Promise<{ count: number; fault: Fault | null }> {
    if (commits.length === 0) return { count: 0, fault: null };
    const together = await this.#transact(commits);
    if (!together) return { count: commits.length, fault: null };
    if (commits.length === 1) return { count: 0, fault: together };
    for (const [count, commit] of commits.entries()) {
      const fault = await this.#transact([commit]);
      if (fault) return { count, fault };
    }
    return { count: commits.length, fault: null };
  }

  async #transact(commits: readonly PreparedCommit[]): Promise<Fault | null> {
    const { dir, faults } = this.#options;
    const pages = pagesFor(commits);
    if (!(this.#headroom.take(pages) || (await this.#headroom.make(pages)))) return noSpace(dir);
    if (faults?.stall) await faults.stall;
    if (faults?.die) throw new Error('told to die');
    const writes = this.#writesOf(commits);
    try {
      if (faults && commits.some(({ first }) => first === faults.failAt)) await toldToFail();
      if (this.#failing) writeAtOnce(this.#store, writes);
      else await writeInBackground(this.#store, writes);
    } catch (error) {
      if (error instanceof Overtaken) throw error;
      this.#failing = true;
      return toFault(error, { dir, freeBytes: freeBytes(dir) });
    }
    this.#failing = false;
    for (const { records } of commits) this.#newest += records.length;
    if (writes.oldest !== null) this.#oldest = writes.oldest;
    return null;
  }

  #writesOf(commits: readonly PreparedCommit[]): Writes {
    let next = this.#newest + 1;
    let oldest = this.#oldest;
    for (const { first, records, dropThrough } of commits) {
      if (first !== next) throw new Error(`sequence ${first} does not follow ${next - 1}`);
      next += records.length;
      oldest = Math.max(oldest, dropThrough + 1);
    }
    const first = this.#newest + 1;
    return { first, commits, oldest: oldest > this.#oldest ? oldest : null };
  }

  /** Frees a bite of the records that were dropped; returns up to where that is done. */
  async freeDropped(): Promise<Sequence> {
    if (this.#clean === this.#oldest) return this.#oldest - 1;
    const { records, history } = this.#store;
    const removals: [Table, Uint8Array][] = [];
    let last: Sequence = 0;
    let taken = 0;
    for (const { key, value } of records.getRange({
      end: sequenceKey(this.#oldest),
      limit: BITE,
    })) {
      last = readSequenceKey(key);
      taken += 1;
      const vm = readRecordValue(value)?.vm;
      if (vm && vm.length > 0) removals.push([history, historyKey(vm, last)]);
      removals.push([records, Buffer.from(key)]);
    }
    await this.#remove(removals);
    this.#clean = taken === BITE ? last + 1 : this.#oldest;
    return this.#clean - 1;
  }

  get hasDropped(): boolean {
    return this.#clean < this.#oldest;
  }

  /** Removes a bite of the rows that expired before `nowMs`; true when there may be more. */
  async sweepExpired(nowMs: number): Promise<boolean> {
    const { rows, expiry } = this.#store;
    const removals: [Table, Uint8Array][] = [];
    let taken = 0;
    for (const key of expiry.getKeys({ end: expiryKey(nowMs, NO_ROW), limit: BITE })) {
      taken += 1;
      const { atMs, row } = readExpiryKey(key);
      const value = rows.get(row);
      // Written again since with another expiry, or none: that one has an entry of its own.
      if (value && readRowValue(value)?.expiresAtMs === atMs) {
        removals.push([rows, Buffer.from(row)]);
      }
      removals.push([expiry, Buffer.from(key)]);
    }
    await this.#remove(removals);
    return taken === BITE;
  }

  async #remove(removals: readonly (readonly [Table, Uint8Array])[]): Promise<void> {
    if (removals.length === 0) return;
    const pages = pagesForBite(BITE);
    if (!(this.#headroom.take(pages) || (await this.#headroom.make(pages)))) {
      throw noSpace(this.#options.dir);
    }
    await removeInBackground(this.#store, removals);
  }

  /** True when `topUp` is due. */
  get mayLackSpace(): boolean {
    return this.#headroom.mayBeLow;
  }

  /** Not at the cost of the reserve. */
  async topUp(): Promise<void> {
    const { dir, reserveBytes } = this.#options;
    if (freeBytes(dir) - TOP_UP_BYTES > reserveBytes) await this.#headroom.topUp();
  }

  async close(): Promise<void> {
    try {
      // On a full disk the row stays; its socket goes, and that is what counts.
      if (await this.#headroom.make(SMALL_PAGES)) this.#store.meta.removeSync('owner');
    } catch {
      // The same.
    }
    this.#headroom.close();
  }
}

const NO_ROW = new Uint8Array(0);

/** As a disk does it: later. */
const toldToFail = async (): Promise<never> => {
  await setImmediate();
  throw new Error('told to fail');
};
