import type { Fault } from '../lib/fault.js';

/**
 * The host's durable log, and the truth about what was seen, decided and done.
 *
 * - A commit holds records and rows; all of it is durable when its promise resolves, or none of it is.
 * - Sequences start at 1 and have no gaps. `append` gives them out at once, in call order, so that a
 *   record can name another one of the same or an earlier commit.
 * - When a commit fails, every commit appended behind it that has not resolved fails too (reason
 *   `JOURNAL_ROLLED_BACK`), their sequences are given out again, and the caller drops what it built on them.
 * - One writer per directory: `open` claims it and fails with `JOURNAL_IN_USE`.
 * - Rows are small states by key (VM rows, cursors, dedupe keys). They are read back, never rebuilt by replay.
 *
 * Faults: JOURNAL_FULL (RESOURCE_EXHAUSTED: reserve or disk), JOURNAL_BUSY (RESOURCE_EXHAUSTED: too much waits to
 * become durable), JOURNAL_ROLLED_BACK (ABORTED), JOURNAL_CLOSED (UNAVAILABLE), JOURNAL_IN_USE, JOURNAL_NEWER_FORMAT,
 * JOURNAL_CORRUPT (FAILED_PRECONDITION), JOURNAL_TRIMMED (OUT_OF_RANGE, metadata `oldest`), JOURNAL_IO (UNAVAILABLE),
 * JOURNAL_BAD_INPUT (INVALID_ARGUMENT: a key, a name, a number outside its range).
 */
export interface Journal {
  /** Made with the journal, 128 random bits as hex; another directory has another one. */
  readonly id: string;

  /** The sequence that the next `append` will give to its first record. */
  readonly next: Sequence;

  /**
   * Throws JOURNAL_BAD_INPUT before anything is given out; every other fault comes by `durable`. A commit of
   * nothing is a barrier: durable when all before it is. Bytes must stay as they are until `durable` settles.
   */
  append(commit: Commit): Appended;

  /**
   * Records behind `after`, in order, at most `limit` records and about `maxBytes` bytes. Only durable ones.
   * JOURNAL_TRIMMED when records behind `after` were dropped, so also for 0 unless record 1 is still there:
   * who wants to begin at the oldest reads after `status().oldest - 1`.
   */
  read(query: ReadQuery): Promise<ReadBatch>;

  /** A row as of the last durable commit, without leaving the event loop; undefined when there is none. */
  lookup(key: string): Uint8Array | undefined;

  /** All rows whose key begins with `prefix`, in key order. */
  rows(prefix: string): Promise<readonly Row[]>;

  /** Called after each durable commit with the newest durable sequence. Returns the way to stop it. */
  onDurable(listener: (newest: Sequence) => void): () => void;

  status(): JournalStatus;

  /** Why this process will never write again (its writer has died); null: it can. Opening anew is the cure. */
  readonly broken: Fault | null;

  /**
   * The last of the oldest records that were all appended before `wallMs` (milliseconds since the epoch);
   * `oldest - 1` when there is none. A clock that jumped makes it less exact, never wrong by more than the jump.
   */
  newestBefore(wallMs: number): Sequence;

  /**
   * Drops records up to and including `through`. With `loss` set they were still needed: a loss
   * marker over exactly the dropped range is appended in the same transaction. `vm` history follows.
   * Readers see them gone at once and all together; resolves when their space can be used again. Nothing
   * happens when `through` was dropped already.
   */
  trim(through: Sequence, loss?: (first: Sequence, last: Sequence) => Uint8Array): Promise<void>;

  /** Lets commits under way end, then gives the directory back. Idempotent. */
  close(): Promise<void>;
}

/** From 1 on; safe as a number: 2^53 records are 1,400 years at 200,000 a second. */
export type Sequence = number;

export interface Commit {
  readonly records: readonly Entry[];
  readonly rows: readonly RowWrite[];
  /**
   * `ingest` is refused with JOURNAL_FULL once free space falls below the reserve; `outcome` (what was
   * done about something already journaled) may use the reserve up.
   */
  readonly kind: 'ingest' | 'outcome';
}

export interface Entry {
  /** Empty for records of the host; else the record is in this VM's history. At most 255 bytes as UTF-8. */
  readonly vm: string;
  readonly bytes: Uint8Array;
}

export interface RowWrite {
  /** 1 to 511 bytes as UTF-8. */
  readonly key: string;
  /** null deletes. */
  readonly value: Uint8Array | null;
  /** Milliseconds since the epoch after which the row may be swept away; absent: never. */
  readonly expiresAtMs?: number;
}

export interface Row {
  readonly key: string;
  readonly value: Uint8Array;
}

export interface Appended {
  /** Sequence of the commit's first record; with no records, the next one to be given out. */
  readonly first: Sequence;
  /**
   * Settles in the order of the calls. A rejection that nobody looks at is not an unhandled one. Reactions to a
   * rejection run before any other callback of the event loop, those of the failed commit first.
   */
  readonly durable: Promise<void>;
}

export interface ReadQuery {
  readonly after: Sequence;
  /** Only this VM's history. */
  readonly vm?: string;
  /** Records; default 1024. */
  readonly limit?: number;
  /** Default 1 MiB. At least one record comes, however large. */
  readonly maxBytes?: number;
}

export interface ReadBatch {
  readonly records: readonly StoredRecord[];
  /** Everything up to here has been looked at: read on from it. Equal to `newest` at the end, never below `after`. */
  readonly scanned: Sequence;
}

export interface StoredRecord {
  readonly sequence: Sequence;
  readonly bytes: Uint8Array;
}

export interface JournalStatus {
  /** 0 before the first record; `newest + 1` when all were dropped. */
  readonly oldest: Sequence;
  readonly newest: Sequence;
  /** Pages in use, in bytes; the file itself never shrinks. */
  readonly usedBytes: number;
  /** What of it records take, with their place in VMs' histories; the rest is rows. */
  readonly recordBytes: number;
  /** Free on the file system. */
  readonly freeBytes: number;
  /** Why ingest is refused at the moment; null: it isn't. */
  readonly refusing: string | null;
  /** How long the oldest commit under way has waited for the disk, in milliseconds; 0: none is. */
  readonly waitingMs: number;
}
