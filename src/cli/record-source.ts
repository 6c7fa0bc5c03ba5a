import type { Record } from '../gen/vmwarden/v1/record.js';
import type { Vm } from '../gen/vmwarden/v1/vm_service.js';

export interface RecordQuery {
  /** 0: from the oldest, or `newest` before the end. */
  readonly after: bigint;
  /** 0: as `after` says. */
  readonly newest: number;
  /** Empty: all. */
  readonly vms: readonly string[];
  /** Names of Record's body; empty: all. */
  readonly kinds: readonly string[];
  readonly follow: boolean;
}

export interface Sequenced {
  readonly sequence: bigint;
  readonly record: Record;
}

/** Where commands read: a running vmwarden, or the journal that one left behind. */
export interface RecordSource {
  readonly kind: 'server' | 'journal';
  records(query: RecordQuery): AsyncIterable<Sequenced>;
  vms(): Promise<readonly Vm[]>;
  close(): Promise<void>;
}
