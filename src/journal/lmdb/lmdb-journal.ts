import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { Fault } from '../../lib/fault.js';
import { withDeadline } from '../../lib/with-deadline.js';
import { checkCommit, checkThrough } from '../check-input.js';
import type {
  Appended,
  Commit,
  Journal,
  JournalStatus,
  ReadBatch,
  ReadQuery,
  Row,
  Sequence,
} from '../journal.js';
import { belowReserveText, closed } from '../journal-fault.js';
import { CommitQueue } from './commit-queue.js';
import { toFault } from './errors.js';
import { FreedWaits } from './freed-waits.js';
import { listenAsOwner, type OwnerSocket } from './owner.js';
import { type FromWriter, fromPlain } from './protocol.js';
import { type StartedWriter, startWriter } from './start-writer.js';
import { freeBytes, getMeta, openStore, type Store, usedBytes } from './store.js';
import { View } from './view.js';

export interface LmdbJournalOptions {
  /** Made, with mode 0700, when it isn't there. */
  readonly dir: string;
  /** Ingest is refused below this much free space. */
  readonly reserveBytes: number;
  /** The writer thread's bundle: dist/journal-worker.js. */
  readonly workerUrl: URL;
  /** Milliseconds since the epoch. Default: Date.now. */
  readonly now?: () => number;
  /** How often expired rows are swept away. Default 5 s. */
  readonly sweepEveryMs?: number;
  readonly hooks?: LmdbJournalHooks;
}

/** What tests need that nobody else may. */
export interface LmdbJournalHooks {
  /** See FAULT_AT and FAULT_KILL in protocol.ts. */
  readonly faults?: Int32Array;
  readonly started?: (worker: Worker) => void;
}

const SWEEP_EVERY_MS = 5_000;
/** Commits under way may take this long to end before the writer is ended. */
const CLOSE_TIMEOUT_MS = 10_000;

/**
 * Opens or founds the journal in `dir` and claims it. Faults: JOURNAL_IN_USE, JOURNAL_NEWER_FORMAT,
 * JOURNAL_CORRUPT, JOURNAL_FULL, JOURNAL_IO.
 */
export async function openLmdbJournal(options: LmdbJournalOptions): Promise<Journal> {
  const dir = resolve(options.dir);
  let socket: OwnerSocket | null = null;
  let writer: StartedWriter | null = null;
  let store: Store | null = null;
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    socket = await listenAsOwner(dir);
    writer = await startWriter({ ...options, dir, socket: socket.name });
    // Only now: the first to open it in a process decides whether it can be written.
    store = openStore({ dir, readOnly: true, check: () => undefined });
    return new LmdbJournal({ ...options, dir, socket, writer, store });
  } catch (error) {
    await store?.env.close();
    await writer?.worker.terminate();
    await socket?.close();
    throw toFault(error, { dir, freeBytes: null });
  }
}

interface Parts extends LmdbJournalOptions {
  readonly socket: OwnerSocket;
  readonly writer: StartedWriter;
  readonly store: Store;
}

class LmdbJournal implements Journal {
  readonly id: string;
  readonly #dir: string;
  readonly #parts: Parts;
  readonly #queue: CommitQueue;
  readonly #view: View;
  readonly #now: () => number;
  readonly #listeners = new Set<(newest: Sequence) => void>();
  readonly #sweeping: NodeJS.Timeout;
  readonly #reading = new Set<Promise<unknown>>();
  readonly #freed = new FreedWaits();
  #trimming: Promise<void> = Promise.resolve();
  #closed = false;
  #closing: Promise<void> | null = null;
  #writerClosed: () => void = () => undefined;

  constructor(parts: Parts) {
    const { dir, writer, store, reserveBytes } = parts;
    this.id = writer.id;
    this.#dir = dir;
    this.#parts = parts;
    this.#now = parts.now ?? Date.now;
    this.#queue = new CommitQueue({
      next: writer.newest + 1,
      reserveBytes,
      freeBytes: () => freeBytes(dir),
      now: this.#now,
      send: (batch, epoch) =>
        writer.worker.postMessage({ kind: 'commits', epoch, batch }, [batch.buffer as ArrayBuffer]),
    });
    this.#view = new View(store, dir, () => ({
      oldest: this.#oldest(),
      newest: this.#queue.newest,
    }));
    writer.worker.on('message', (message: FromWriter) => this.#take(message));
    writer.worker.on('error', (error) => this.#die(error.message));
    writer.worker.on('exit', () => this.#die('its writer thread ended'));
    this.#sweeping = setInterval(() => this.#sweep(), parts.sweepEveryMs ?? SWEEP_EVERY_MS);
    this.#sweeping.unref();
    this.#sweep();
  }

  get next(): Sequence {
    return this.#queue.next;
  }

  append(commit: Commit): Appended {
    checkCommit(commit);
    if (this.#closed) {
      const durable = Promise.reject(closed());
      durable.catch(() => undefined);
      return { first: this.#queue.next, durable };
    }
    return this.#queue.append(commit, 0);
  }

  read(query: ReadQuery): Promise<ReadBatch> {
    return this.#reads(() => this.#view.read(query));
  }

  rows(prefix: string): Promise<readonly Row[]> {
    return this.#reads(() => this.#view.rows(prefix));
  }

  lookup(key: string): Uint8Array | undefined {
    if (this.#closed) throw closed();
    return this.#translated(() => this.#view.lookup(key));
  }

  onDurable(listener: (newest: Sequence) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get broken(): Fault | null {
    return this.#queue.dead;
  }

  status(): JournalStatus {
    if (this.#closed) throw closed();
    return this.#translated(() => {
      const { newest } = this.#queue;
      const free = freeBytes(this.#dir);
      return {
        oldest: newest === 0 ? 0 : this.#oldest(),
        newest,
        usedBytes: usedBytes(this.#parts.store),
        freeBytes: free,
        refusing: this.#refusing(free),
      };
    });
  }

  newestBefore(wallMs: number): Sequence {
    if (this.#closed) throw closed();
    return this.#translated(() => this.#view.newestBefore(wallMs));
  }

  trim(through: Sequence, loss?: (first: Sequence, last: Sequence) => Uint8Array): Promise<void> {
    const done = this.#trimming.then(() => this.#trim(through, loss));
    this.#trimming = done.catch(() => undefined);
    return done;
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #trim(through: Sequence, loss?: (first: Sequence, last: Sequence) => Uint8Array) {
    if (this.#closed) throw closed();
    checkThrough(through, this.#queue.newest);
    const oldest = this.#oldest();
    if (through < oldest) return;
    const records = loss ? [{ vm: '', bytes: loss(oldest, through) }] : [];
    const commit: Commit = { kind: 'outcome', records, rows: [] };
    checkCommit(commit);
    await this.#queue.append(commit, through).durable;
    await this.#freed.until(through);
  }

  #take(message: FromWriter): void {
    switch (message.kind) {
      case 'settled': {
        const before = this.#queue.newest;
        this.#view.refresh();
        const fault = message.fault && fromPlain(message.fault);
        this.#queue.settle(message.count, fault, message.belowReserve);
        const { newest } = this.#queue;
        if (newest > before) for (const listener of this.#listeners) listener(newest);
        return;
      }
      case 'dropped':
        this.#view.refresh();
        this.#freed.release(message.through);
        return;
      case 'closed':
        this.#writerClosed();
        return;
      case 'owned':
      case 'ready':
      case 'unusable':
        return;
    }
  }

  /** From the snapshot itself: the writer may have freed what it dropped before its word reaches us. */
  #oldest(): Sequence {
    return getMeta(this.#parts.store.meta, 'oldest') ?? 1;
  }

  #refusing(free: number): string | null {
    if (this.#queue.dead) return this.#queue.dead.message;
    const { reserveBytes } = this.#parts;
    return free < reserveBytes ? belowReserveText(free, reserveBytes) : null;
  }

  #sweep(): void {
    if (this.#queue.dead) return;
    this.#parts.writer.worker.postMessage({ kind: 'sweep', nowMs: this.#now() });
  }

  #die(why: string): void {
    this.#queue.kill(
      new Fault(
        'UNAVAILABLE',
        'JOURNAL_IO',
        `The journal ${this.#dir} can't be written any more: ${why}. A restart opens it anew.`,
      ),
    );
    this.#freed.release(Number.MAX_SAFE_INTEGER);
    this.#writerClosed();
  }

  async #close(): Promise<void> {
    clearInterval(this.#sweeping);
    await withDeadline(CLOSE_TIMEOUT_MS, this.#closeWriter());
    // Ends at once when it closed in time; else what still waits fails by its exit.
    await this.#parts.writer.worker.terminate();
    await Promise.allSettled(this.#reading);
    await this.#parts.store.env.close();
    await this.#parts.socket.close();
  }

  async #closeWriter(): Promise<void> {
    await this.#queue.idle();
    if (this.#queue.dead) return;
    const ended = new Promise<void>((resolve) => {
      this.#writerClosed = resolve;
    });
    this.#parts.writer.worker.postMessage({ kind: 'close' });
    await ended;
  }

  #reads<T>(read: () => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(closed());
    const reading = read().catch((error: unknown) => {
      throw toFault(error, { dir: this.#dir, freeBytes: null });
    });
    const done: Promise<unknown> = reading.then(
      () => this.#reading.delete(done),
      () => this.#reading.delete(done),
    );
    this.#reading.add(done);
    return reading;
  }

  #translated<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw toFault(error, { dir: this.#dir, freeBytes: null });
    }
  }
}
