import type { Sequence } from '../journal/journal.js';
import type { Fault } from '../lib/fault.js';
import type { ReaderAtRisk } from './reader-at-risk.js';

/** How the relay does, for the health board, metrics and people. */
export interface RelayStatus {
  /** `waiting`: the bus can't be used at the moment, `fault` says why; it is tried again. */
  readonly state: 'connecting' | 'relaying' | 'waiting' | 'stopped';
  readonly fault: Fault | null;
  /** What an operator should know though it works. */
  readonly warnings: readonly string[];
  /** Consumer groups that trimming is about to take records from, as of the last look, each minute; also in `warnings`. */
  readonly readersAtRisk: readonly ReaderAtRisk[];
  /** The last sequence that the bus is known to have; null: not asked yet. */
  readonly published: Sequence | null;
  /** Durable records that the bus is not known to have. */
  readonly lag: number;
}
