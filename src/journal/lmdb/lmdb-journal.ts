import { resolve } from 'node:path';
import { Fault } from '../../lib/fault.js';
import { makeDirectory } from '../../lib/make-directory.js';
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
import { type OpenedWriter, openWriter } from './open-writer.js';
import { listenAsOwner, type OwnerSocket } from './owner.js';
import { prepare } from './prepare.js';
import { freeBytes, getMeta, usage } from './store.js';
import { View } from './view.js';
import { WriteLoop } from './write-loop.js';
import type { Outcome, WriterFaults } from './writer.js';

export interface LmdbJournalOptions {
  /** Made, with mode 0700, when it isn't there. */
  readonly dir: string;
  /** Ingest is refused below this much free space. */
  readonly reserveBytes: number;
  /** This process's, for whoever finds the directory in use. */
  readonly pid: number;
  /** Milliseconds since the epoch. Default: Date.now. */
  readonly now?: () => number;
  /** How often expired rows are swept away. Default 5 s. */
  readonly sweepEveryMs?: number;
  /** What tests need that nobody else may. */
  readonly faults?: WriterFaults;
}

const SWEEP_EVERY_MS = 5_000;
/** Commits under way may take this long to end before they are given up. */
const CLOSE_TIMEOUT_MS = 10_000;

/**
 * Opens or founds the journal in `dir` and claims it. Faults: JOURNAL_IN_USE, JOURNAL_NEWER_FORMAT,
 * JOURNAL_CORRUPT, JOURNAL_FULL, JOURNAL_IO, DIRECTORY_UNUSABLE.
 */
export async function openLmdbJournal(options: LmdbJournalOptions): Promise<Journal> {
  const dir = resolve(options.dir);
  let socket: OwnerSocket | null = null;
  try {
    await makeDirectory(dir);
    socket = await listenAsOwner(dir);
    const opened = await openWriter({ ...options, dir, socket: socket.name });
    return new LmdbJournal({ ...options, dir, socket, opened });
  } catch (error) {
    await socket?.close();
    throw toFault(error, { dir, freeBytes: null });
  }
}

interface Parts extends LmdbJournalOptions {
  readonly socket: OwnerSocket;
  readonly opened: OpenedWriter;
}

class LmdbJournal implements Journal {
  readonly id: string;
  readonly #dir: string;
  readonly #parts: Parts;
  readonly #queue: CommitQueue;
  readonly #loop: WriteLoop;
  readonly #view: View;
  readonly #now: () => number;
  readonly #listeners = new Set<(newest: Sequence) => void>();
  readonly #sweeping: NodeJS.Timeout;
  readonly #reading = new Set<Promise<unknown>>();
  readonly #freed = new FreedWaits();
  #trimming: Promise<void> = Promise.resolve();
  #closed = false;
  #closing: Promise<void> | null = null;

  constructor(parts: Parts) {
    const { dir, opened, reserveBytes } = parts;
    this.id = opened.id;
    this.#dir = dir;
    this.#parts = parts;
    this.#now = parts.now ?? Date.now;
    this.#queue = new CommitQueue({
      next: opened.newest + 1,
      reserveBytes,
      freeBytes: () => freeBytes(dir),
      send: (batch) => {
        const nowMs = this.#now();
        this.#loop.hand(batch.map((commit) => prepare(commit, nowMs)));
      },
    });
    this.#view = new View(opened.store, dir, () => ({
      oldest: this.#oldest(),
      newest: this.#queue.newest,
    }));
    this.#loop = new WriteLoop({
      writer: opened.writer,
      onOutcome: (outcome) => this.#settle(outcome),
      onFreed: (through) => this.#freed.release(through),
      onBroken: (error) => this.#die(error instanceof Error ? error.message : String(error)),
    });
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
        ...usage(this.#parts.opened.store),
        freeBytes: free,
        refusing: this.#refusing(free),
        waitingMs: this.#queue.waitingMs,
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

  #settle({ count, fault, belowReserve }: Outcome): void {
    const before = this.#queue.newest;
    this.#view.refresh();
    this.#queue.settle(count, fault, belowReserve);
    const { newest } = this.#queue;
    if (newest > before) for (const listener of this.#listeners) listener(newest);
  }

  /** From the snapshot itself: LMDB's thread is done with a transaction before its word reaches us. */
  #oldest(): Sequence {
    return getMeta(this.#parts.opened.store.meta, 'oldest') ?? 1;
  }

  #refusing(free: number): string | null {
    if (this.#queue.dead) return this.#queue.dead.message;
    const { reserveBytes } = this.#parts;
    return free < reserveBytes ? belowReserveText(free, reserveBytes) : null;
  }

  #sweep(): void {
    this.#loop.sweep(this.#now());
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
  }

  async #close(): Promise<void> {
    clearInterval(this.#sweeping);
    const ended = await withDeadline(CLOSE_TIMEOUT_MS, this.#endWriting());
    this.#freed.release(Number.MAX_SAFE_INTEGER);
    if (ended) {
      await this.#parts.opened.writer.close();
      await Promise.allSettled(this.#reading);
      await this.#parts.opened.store.env.close();
    } else {
      // The disk hangs: LMDB can't be closed under a transaction, and the end of the process gives all back.
      this.#die('the disk did not take what was under way');
    }
    await this.#parts.socket.close();
  }

  async #endWriting(): Promise<true> {
    await this.#queue.idle();
    await this.#loop.end();
    return true;
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
