import { Buffer } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import { Fault } from '../lib/fault.js';
import { checkCommit, checkQuery, checkThrough } from './check-input.js';
import type {
  Appended,
  Commit,
  Journal,
  JournalStatus,
  ReadBatch,
  ReadQuery,
  Row,
  Sequence,
  StoredRecord,
} from './journal.js';
import { belowReserve, belowReserveText, closed, rolledBack, trimmed } from './journal-fault.js';

export interface MemoryJournalOptions {
  /** Milliseconds since the epoch. Default: Date.now. */
  readonly now?: () => number;
}

interface Kept extends StoredRecord {
  readonly vm: string;
  readonly atMs: number;
}

interface KeptRow {
  readonly value: Uint8Array;
  readonly expiresAtMs: number;
}

interface Pending {
  readonly commit: Commit;
  readonly first: Sequence;
  readonly dropThrough: Sequence;
  readonly settle: (fault: Fault | null) => void;
}

const NOTHING: Commit = { kind: 'outcome', records: [], rows: [] };

/** The contract in its plainest reading, for tests: durable means in this process's memory. */
export class MemoryJournal implements Journal {
  readonly id = randomBytes(16).toString('hex');
  readonly #now: () => number;
  readonly #records: Kept[] = [];
  readonly #rows = new Map<string, KeptRow>();
  readonly #listeners = new Set<(newest: Sequence) => void>();
  #pending: Pending[] = [];
  #working: NodeJS.Immediate | null = null;
  #oldest: Sequence = 1;
  #newest: Sequence = 0;
  #next: Sequence = 1;
  #failAt: Sequence = 0;
  #refusing = false;
  #closed = false;
  #underWay: Promise<void> = Promise.resolve();
  #trimming: Promise<void> = Promise.resolve();

  constructor(options: MemoryJournalOptions = {}) {
    this.#now = options.now ?? Date.now;
  }

  get next(): Sequence {
    return this.#next;
  }

  /** Commits whose first sequence this is fail, as if the disk did; 0: none. */
  failAt(first: Sequence): void {
    this.#failAt = first;
  }

  /** As if free space were below the reserve, or no more. */
  refuseIngest(refusing: boolean): void {
    this.#refusing = refusing;
  }

  append(commit: Commit): Appended {
    return this.#enqueue(commit, 0);
  }

  async read(query: ReadQuery): Promise<ReadBatch> {
    const { after, vm, limit, maxBytes } = checkQuery(query);
    if (this.#closed) throw closed();
    if (after < this.#oldest - 1) throw trimmed(after, this.#oldest);
    const records: StoredRecord[] = [];
    let bytes = 0;
    for (const record of this.#records.slice(Math.max(0, after - this.#oldest + 1))) {
      if (vm !== undefined && record.vm !== vm) continue;
      const full = records.length === limit || bytes + record.bytes.length > maxBytes;
      if (full && records.length > 0) {
        return { records, scanned: records.at(-1)?.sequence ?? after };
      }
      records.push({ sequence: record.sequence, bytes: record.bytes });
      bytes += record.bytes.length;
    }
    return { records, scanned: Math.max(after, this.#newest) };
  }

  lookup(key: string): Uint8Array | undefined {
    if (this.#closed) throw closed();
    return this.#rows.get(key)?.value;
  }

  async rows(prefix: string): Promise<readonly Row[]> {
    if (this.#closed) throw closed();
    return [...this.#rows]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, { value }]) => ({ key, value }))
      .sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  }

  onDurable(listener: (newest: Sequence) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  readonly broken = null;

  status(): JournalStatus {
    const rowBytes = [...this.#rows.values()].reduce((sum, row) => sum + row.value.length, 0);
    const recordBytes = this.#records.reduce((sum, record) => sum + record.bytes.length, 0);
    const freeBytes = this.#refusing ? 0 : Number.MAX_SAFE_INTEGER;
    return {
      oldest: this.#newest === 0 ? 0 : this.#oldest,
      newest: this.#newest,
      usedBytes: recordBytes + rowBytes,
      recordBytes,
      freeBytes,
      refusing: this.#refusing ? belowReserveText(freeBytes, 1) : null,
      waitingMs: 0,
    };
  }

  newestBefore(wallMs: number): Sequence {
    const at = this.#records.findIndex((record) => record.atMs >= wallMs);
    return this.#oldest - 1 + (at < 0 ? this.#records.length : at);
  }

  trim(through: Sequence, loss?: (first: Sequence, last: Sequence) => Uint8Array): Promise<void> {
    const done = this.#trimming.then(async () => {
      if (this.#closed) throw closed();
      checkThrough(through, this.#newest);
      if (through < this.#oldest) return;
      const records = loss ? [{ vm: '', bytes: loss(this.#oldest, through) }] : [];
      await this.#enqueue({ kind: 'outcome', records, rows: [] }, through).durable;
    });
    this.#trimming = done.catch(() => undefined);
    return done;
  }

  async close(): Promise<void> {
    if (!this.#closed) this.#underWay = this.append(NOTHING).durable.catch(() => undefined);
    this.#closed = true;
    await this.#underWay;
  }

  #enqueue(commit: Commit, dropThrough: Sequence): Appended {
    checkCommit(commit);
    const first = this.#next;
    const { promise, resolve, reject } = withResolvers();
    promise.catch(() => undefined);
    const settle = (fault: Fault | null) => (fault ? reject(fault) : resolve());
    if (this.#closed) {
      settle(closed());
      return { first, durable: promise };
    }
    this.#next += commit.records.length;
    this.#pending.push({ commit, first, dropThrough, settle });
    this.#working ??= setImmediate(() => this.#work());
    return { first, durable: promise };
  }

  #work(): void {
    this.#working = null;
    const before = this.#newest;
    const pending = this.#pending;
    this.#pending = [];
    for (const [at, { commit, first, dropThrough, settle }] of pending.entries()) {
      const fault = this.#faultOf(commit, first);
      if (fault) {
        this.#next = first;
        settle(fault);
        for (const behind of pending.slice(at + 1)) behind.settle(rolledBack(fault));
        break;
      }
      this.#apply(commit, first, dropThrough);
      settle(null);
    }
    this.#sweep();
    if (this.#newest > before) for (const listener of this.#listeners) listener(this.#newest);
  }

  #faultOf(commit: Commit, first: Sequence): Fault | null {
    if (this.#refusing && commit.kind === 'ingest') return belowReserve(0, 1);
    if (this.#failAt !== first) return null;
    return new Fault('UNAVAILABLE', 'JOURNAL_IO', 'The journal failed, since it was told to.');
  }

  #apply(commit: Commit, first: Sequence, dropThrough: Sequence): void {
    for (const [at, { vm, bytes }] of commit.records.entries()) {
      this.#records.push({ sequence: first + at, vm, bytes: bytes.slice(), atMs: this.#now() });
    }
    for (const { key, value, expiresAtMs } of commit.rows) {
      if (value === null) this.#rows.delete(key);
      else this.#rows.set(key, { value: value.slice(), expiresAtMs: expiresAtMs ?? Infinity });
    }
    this.#newest = first + commit.records.length - 1;
    if (dropThrough >= this.#oldest) {
      this.#records.splice(0, dropThrough - this.#oldest + 1);
      this.#oldest = dropThrough + 1;
    }
  }

  #sweep(): void {
    const now = this.#now();
    for (const [key, row] of this.#rows) if (row.expiresAtMs < now) this.#rows.delete(key);
  }
}

function withResolvers(): {
  promise: Promise<void>;
  resolve: () => void;
  reject: (fault: Fault) => void;
} {
  let resolve: () => void = () => undefined;
  let reject: (fault: Fault) => void = () => undefined;
  const promise = new Promise<void>((accept, refuse) => {
    resolve = accept;
    reject = refuse;
  });
  return { promise, resolve, reject };
}
