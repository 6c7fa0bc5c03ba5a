import type { Sequence } from '../journal/journal.js';

/**
 * Where the records of all hosts meet. The relay is the only one that publishes, batch after batch, in the order of
 * the journal.
 *
 * - What `published` answers is the truth about what the bus has: the relay takes its cursor from it on every
 *   (re)connect, so what a failover threw away is sent again.
 * - A record is in the bus's stream once (per history of the bus) and in order per host: a batch that begins at or
 *   before what is published is cut, one that would leave a hole is refused (BUS_GAP).
 *
 * Faults: BUS_GAP (ABORTED, metadata `published`), BUS_TWIN (FAILED_PRECONDITION: another live journal publishes under this host's
 * name), BUS_PARTITIONS (FAILED_PRECONDITION), BUS_EVICTS (FAILED_PRECONDITION: an `allkeys-*` policy), BUS_UNAVAILABLE (UNAVAILABLE).
 */
export interface Bus {
  /** The last sequence of this host's journal that the bus has, and whose it was; null: nothing yet. */
  published(): Promise<Published | null>;

  /** Resolves with the last published sequence once the whole batch is in the stream. */
  publish(batch: Batch): Promise<Sequence>;

  /** Idempotent and bounded. */
  close(): Promise<void>;
}

export interface Published {
  readonly journalId: string;
  readonly sequence: Sequence;
}

export interface Batch {
  /** Of consecutive sequences, ascending; at least one. */
  readonly records: readonly { readonly sequence: Sequence; readonly bytes: Uint8Array }[];
  /**
   * The batch begins behind what is published, on purpose: the records between are gone from the journal (its loss marker says so), or the
   * journal is a new one.
   */
  readonly skips: 'nothing' | 'lost' | 'journalChanged';
}
