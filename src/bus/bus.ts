import type { Sequence } from '../journal/journal.js';
import type { ReaderAtRisk } from './reader-at-risk.js';

/**
 * Where the records of all hosts meet. The relay is the only one that publishes, batch after batch, in the order of
 * the journal.
 *
 * - What `open` and `beat` answer is the truth about what the bus has. The relay takes its cursor from it, so what a
 *   failover threw away is sent again.
 * - A record is in the bus's stream once (per history of the bus) and in order per host: what is published already
 *   is skipped, what would leave a hole is refused. Nothing of a refused batch is published.
 * - Batches may be published before the ones ahead of them have resolved: they are taken in the order of the calls,
 *   and one behind a batch that failed is refused.
 * - Once anything was rejected but BUS_GAP, the bus may be of no use until `open` resolves again.
 *
 * Faults: BUS_GAP (ABORTED: the batch does not continue what is published; open again), BUS_TWIN (FAILED_PRECONDITION:
 * another live journal has this host's name; while both live neither publishes), BUS_PARTITIONS, BUS_EVICTS,
 * BUS_DENIED, BUS_MISUSED (FAILED_PRECONDITION: what an operator has to mend), BUS_FULL (RESOURCE_EXHAUSTED),
 * BUS_UNAVAILABLE (UNAVAILABLE: it passes by itself).
 */
export interface Bus {
  /** Connects anew, and takes the host's name. What the bus has of the host; null: nothing. Bounded. */
  open(): Promise<Published | null>;

  /** Resolves with the last published sequence once the whole batch is in the stream. */
  publish(batch: Batch): Promise<Sequence>;

  /** Says that the host is alive, and looks after the bus. As `open` answers, without connecting. */
  beat(): Promise<Beat>;

  /** Says that the host went on purpose, so that nobody waits for it. */
  leave(): Promise<void>;

  /** Called when the connection is lost while nothing is under way. Replaces the listener before. */
  onLost(listener: (fault: Error) => void): void;

  /** At once; what is under way is rejected. Idempotent; `open` begins anew. */
  close(): void;
}

export interface Published {
  /** The journal that the host published last. */
  readonly journalId: string;
  readonly sequence: Sequence;
  /** How far this journal has come: `sequence`, or, when another one was published since, where it stopped; 0: nothing of it. */
  readonly ours: Sequence;
}

export interface Beat {
  readonly published: Published | null;
  /** What an operator should know though the bus works. Sentences. */
  readonly warnings: readonly string[];
  readonly readersAtRisk: readonly ReaderAtRisk[];
}

export interface Batch {
  /**
   * The first sequence that this batch accounts for: right behind what is published of this journal, at first 1. Below
   * the first record's sequence only when that record is a marker over all from here to itself.
   */
  readonly from: Sequence;
  /** Of consecutive sequences, ascending; at least one. */
  readonly records: readonly BusRecord[];
  /** The journal that is published so far and ended; null: it is this one, or there is none. */
  readonly replaces: string | null;
}

export interface BusRecord {
  readonly sequence: Sequence;
  readonly bytes: Uint8Array;
}
