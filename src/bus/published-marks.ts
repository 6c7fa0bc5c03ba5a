import type { Journal, Sequence } from '../journal/journal.js';

/** The journal's row with the marks. */
const ROW = 'relay/published';
const EVERY_MS = 3_600_000;

interface Mark {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly published: Sequence;
}

/**
 * What was published when, to the hour, so that retention knows what a failover of the bus can't take back any more.
 * Kept in the journal: a restart doesn't shorten the promise.
 */
export class PublishedMarks {
  readonly #journal: Pick<Journal, 'append' | 'lookup'>;
  readonly #keepMs: number;
  #marks: readonly Mark[];

  constructor(journal: Pick<Journal, 'append' | 'lookup'>, keepMs: number) {
    this.#journal = journal;
    this.#keepMs = keepMs;
    this.#marks = parse(journal.lookup(ROW));
  }

  /** The last sequence that has been published for `keepMs`; 0: none that is known. */
  settled(nowMs: number): Sequence {
    return this.#marks.findLast(({ at }) => at <= nowMs - this.#keepMs)?.published ?? 0;
  }

  /** The row is written once an hour; when that fails, at the next call. */
  note(nowMs: number, published: Sequence): void {
    const last = this.#marks.at(-1);
    // A clock that was set back: what was noted in its future is of no use.
    const past = this.#marks.filter(({ at }) => at <= nowMs);
    if (last !== undefined && past.length === this.#marks.length && nowMs - last.at < EVERY_MS) {
      return;
    }
    const settled = past.findLastIndex(({ at }) => at <= nowMs - this.#keepMs);
    const marks = [...past.slice(Math.max(0, settled)), { at: nowMs, published }];
    const before = this.#marks;
    this.#marks = marks;
    const value = Buffer.from(JSON.stringify(marks));
    const undo = (): void => {
      if (this.#marks === marks) this.#marks = before;
    };
    try {
      const commit = { kind: 'outcome', records: [], rows: [{ key: ROW, value }] } as const;
      this.#journal.append(commit).durable.catch(undo);
    } catch {
      undo();
    }
  }
}

const parse = (value: Uint8Array | undefined): Mark[] => {
  try {
    const marks: unknown = value === undefined ? [] : JSON.parse(Buffer.from(value).toString());
    return Array.isArray(marks) ? marks.filter(isMark) : [];
  } catch {
    return [];
  }
};

const isMark = (mark: unknown): mark is Mark => {
  const { at, published } = (mark ?? {}) as Partial<Mark>;
  return Number.isSafeInteger(at) && Number.isSafeInteger(published);
};
