import type { Fault } from '../../lib/fault.js';
import type { Appended, Commit, Sequence } from '../journal.js';
import { belowReserve, busy, rolledBack } from '../journal-fault.js';
import { type PlacedCommit, preparedSize } from './prepare.js';

export interface CommitQueueOptions {
  /** The sequence that the first commit gets. */
  readonly next: Sequence;
  readonly reserveBytes: number;
  readonly freeBytes: () => number;
  /** Takes over what is to be written next, in order, until one fails. */
  readonly send: (batch: readonly PlacedCommit[]) => void;
}

interface Waiting extends PlacedCommit {
  readonly size: number;
  /** When it was appended, by performance.now(). */
  readonly sinceMs: number;
  readonly settle: (fault: Fault | null) => void;
}

/** Bytes on the way to the disk; beyond, ingest is refused, and at twice as much everything is. */
const WAITING_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Gives out sequences, sends what one turn of the event loop brings together, and settles commits in order. When one
 * fails, all behind it fail, and their sequences are given out again.
 */
export class CommitQueue {
  readonly #options: CommitQueueOptions;
  /** Sent and not yet settled, oldest first; `#sentFrom` is where they begin. */
  #sent: Waiting[] = [];
  #sentFrom = 0;
  #unsent: Waiting[] = [];
  #waitingBytes = 0;
  #next: Sequence;
  #newest: Sequence;
  #refusing = false;
  #dead: Fault | null = null;
  #idle: (() => void)[] = [];

  constructor(options: CommitQueueOptions) {
    this.#options = options;
    this.#next = options.next;
    this.#newest = options.next - 1;
  }

  get next(): Sequence {
    return this.#next;
  }

  /** The newest durable sequence. */
  get newest(): Sequence {
    return this.#newest;
  }

  /** How long the oldest commit that nobody has had word of has waited; 0: there is none. */
  get waitingMs(): number {
    const oldest = this.#sent[this.#sentFrom] ?? this.#unsent[0];
    return oldest === undefined ? 0 : performance.now() - oldest.sinceMs;
  }

  /** For good, what every commit fails with; null: the writer lives. */
  get dead(): Fault | null {
    return this.#dead;
  }

  append(commit: Commit, dropThrough: Sequence): Appended {
    const first = this.#next;
    let settle: Waiting['settle'] = () => undefined;
    const durable = new Promise<void>((resolve, reject) => {
      settle = (fault) => (fault ? reject(fault) : resolve());
    });
    // Who doesn't look at it loses nothing; the process must not end for it.
    durable.catch(() => undefined);
    if (this.#dead) {
      settle(this.#dead);
      return { first, durable };
    }
    const size = preparedSize(commit);
    this.#next += commit.records.length;
    this.#waitingBytes += size;
    this.#unsent.push({ commit, first, dropThrough, size, sinceMs: performance.now(), settle });
    if (this.#unsent.length === 1) queueMicrotask(() => this.#flush());
    return { first, durable };
  }

  /** The writer's word on its oldest commits: `count` are durable, the next one failed with `fault`. */
  settle(count: number, fault: Fault | null, refusing: boolean): void {
    const durable = this.#sent.slice(this.#sentFrom, this.#sentFrom + count);
    this.#sentFrom += count;
    const last = durable.at(-1);
    if (last) this.#newest = last.first + last.commit.records.length - 1;
    for (const { size, settle } of durable) {
      this.#waitingBytes -= size;
      settle(null);
    }
    // Moved down only when the settled part is the larger one, so that the cost per commit stays constant.
    if (this.#sentFrom * 2 >= this.#sent.length) {
      this.#sent = this.#sent.slice(this.#sentFrom);
      this.#sentFrom = 0;
    }
    if (refusing) this.#refusing = true;
    if (fault) this.#failFrom(this.#takeAll(), fault);
    this.#tellIdle();
  }

  /** Everything fails with `fault`, now and from now on. */
  kill(fault: Fault): void {
    if (this.#dead) return;
    this.#dead = fault;
    const waiting = this.#takeAll();
    for (const { settle } of waiting) settle(fault);
    this.#tellIdle();
  }

  /** Resolves when nothing waits any more. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#tellIdle();
    });
  }

  /** Whether ingest would be refused now; asks the file system only while it was. */
  isRefusing(): boolean {
    const { freeBytes, reserveBytes } = this.#options;
    if (this.#refusing && freeBytes() >= reserveBytes) this.#refusing = false;
    return this.#refusing;
  }

  #flush(): void {
    if (this.#unsent.length === 0) return;
    const refusing = this.isRefusing();
    let batch = this.#unsent;
    let fault: Fault | null = null;
    for (const [at, { commit }] of batch.entries()) {
      fault = this.#refusal(commit.kind, refusing);
      if (!fault) continue;
      batch = this.#unsent.splice(0, at);
      break;
    }
    if (!fault) this.#unsent = [];
    if (batch.length > 0) {
      for (const waiting of batch) this.#sent.push(waiting);
      this.#options.send(batch);
    }
    if (fault) {
      this.#failFrom(this.#unsent, fault);
      this.#unsent = [];
      this.#tellIdle();
    }
  }

  /** Refused here, a commit takes nothing with it that was appended in a later turn. */
  #refusal(kind: Commit['kind'], refusing: boolean): Fault | null {
    const { freeBytes, reserveBytes } = this.#options;
    if (kind === 'ingest' && refusing) return belowReserve(freeBytes(), reserveBytes);
    const room = kind === 'ingest' ? WAITING_BYTES_MAX : 2 * WAITING_BYTES_MAX;
    return this.#waitingBytes > room ? busy(this.#waitingBytes) : null;
  }

  #failFrom([failed, ...behind]: Waiting[], fault: Fault): void {
    if (!failed) return;
    this.#next = failed.first;
    this.#waitingBytes -= failed.size;
    failed.settle(fault);
    for (const { size, settle } of behind) {
      this.#waitingBytes -= size;
      settle(rolledBack(fault));
    }
  }

  #takeAll(): Waiting[] {
    const all = [...this.#sent.slice(this.#sentFrom), ...this.#unsent];
    this.#sent = [];
    this.#sentFrom = 0;
    this.#unsent = [];
    return all;
  }

  #tellIdle(): void {
    if (this.#sent.length > this.#sentFrom || this.#unsent.length > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
