import { resolve } from 'node:path';
import type { Journal, JournalStatus, ReadBatch, ReadQuery, Row, Sequence } from '../journal.js';
import { belowReserveText } from '../journal-fault.js';
import { readBounds } from './claim.js';
import { checkDataFile } from './data-file.js';
import { notFound, toFault } from './errors.js';
import { checkFormat, type Owner } from './format.js';
import { isOwnerAlive } from './owner.js';
import { freeBytes, getMeta, openStore, type Store, usage } from './store.js';
import { type VerifyOptions, type VerifyReport, verifyStore } from './verify.js';
import { View } from './view.js';

/** A journal that may be open for writing in another process. Everything is as of the moment it is asked for. */
export interface JournalReader
  extends Pick<Journal, 'id' | 'read' | 'rows' | 'lookup' | 'newestBefore' | 'status'> {
  readonly format: number;
  /** Who has it open for writing; null: nobody alive. */
  owner(): Promise<Owner | null>;
  /** Walks through everything. */
  verify(options: VerifyOptions): Promise<VerifyReport>;
  close(): Promise<void>;
}

export interface LmdbReaderOptions {
  readonly dir: string;
  /** As the writer has it; only `status().refusing` depends on it. Default 0. */
  readonly reserveBytes?: number;
}

/** Faults: JOURNAL_NOT_FOUND (NOT_FOUND), JOURNAL_NEWER_FORMAT, JOURNAL_CORRUPT, JOURNAL_IO. */
export async function openLmdbReader(options: LmdbReaderOptions): Promise<JournalReader> {
  const dir = resolve(options.dir);
  try {
    if (checkDataFile(dir, false) === 'absent') throw notFound(dir);
    const store = openStore({
      dir,
      readOnly: true,
      check: (meta) => checkFormat(dir, getMeta(meta, 'format')),
    });
    return new LmdbReader(dir, store, options.reserveBytes ?? 0);
  } catch (error) {
    throw toFault(error, { dir, freeBytes: null });
  }
}

class LmdbReader implements JournalReader {
  readonly id: string;
  readonly format: number;
  readonly #dir: string;
  readonly #store: Store;
  readonly #view: View;
  readonly #reserveBytes: number;

  constructor(dir: string, store: Store, reserveBytes: number) {
    this.#dir = dir;
    this.#store = store;
    this.#reserveBytes = reserveBytes;
    this.id = readBounds(store, dir).id;
    this.format = getMeta(store.meta, 'format') ?? 0;
    this.#view = new View(store, dir, () => readBounds(store, dir));
  }

  read(query: ReadQuery): Promise<ReadBatch> {
    return this.#fresh(() => this.#view.read(query));
  }

  rows(prefix: string): Promise<readonly Row[]> {
    return this.#fresh(() => this.#view.rows(prefix));
  }

  lookup(key: string): Uint8Array | undefined {
    return this.#freshNow(() => this.#view.lookup(key));
  }

  newestBefore(wallMs: number): Sequence {
    return this.#freshNow(() => this.#view.newestBefore(wallMs));
  }

  status(): JournalStatus {
    return this.#freshNow(() => {
      const { oldest, newest } = readBounds(this.#store, this.#dir);
      const free = freeBytes(this.#dir);
      return {
        oldest: newest === 0 ? 0 : oldest,
        newest,
        ...usage(this.#store),
        freeBytes: free,
        refusing: free < this.#reserveBytes ? belowReserveText(free, this.#reserveBytes) : null,
        waitingMs: 0,
      };
    });
  }

  async owner(): Promise<Owner | null> {
    const owner = this.#freshNow(() => getMeta(this.#store.meta, 'owner'));
    return owner && (await isOwnerAlive(this.#dir, owner)) ? owner : null;
  }

  verify(options: VerifyOptions): Promise<VerifyReport> {
    return this.#fresh(() => verifyStore(this.#store, this.#dir, options));
  }

  async close(): Promise<void> {
    await this.#store.env.close();
  }

  async #fresh<T>(read: () => Promise<T>): Promise<T> {
    try {
      this.#view.refresh();
      return await read();
    } catch (error) {
      throw toFault(error, { dir: this.#dir, freeBytes: null });
    }
  }

  #freshNow<T>(read: () => T): T {
    try {
      this.#view.refresh();
      return read();
    } catch (error) {
      throw toFault(error, { dir: this.#dir, freeBytes: null });
    }
  }
}
