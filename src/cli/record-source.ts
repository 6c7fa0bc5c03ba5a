import type { Record } from '../gen/vmwarden/v1/record.js';
import type { ExplainVmResponse, Vm } from '../gen/vmwarden/v1/vm_service.js';

/** Empty: all. */
export interface RecordFilter {
  readonly vms: readonly string[];
  /** Names of Record's body. */
  readonly kinds: readonly string[];
}

export interface RecordQuery extends RecordFilter {
  /** 0: from the oldest, or `newest` before the end. */
  readonly after: bigint;
  /** 0: as `after` says. */
  readonly newest: number;
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
  /** Of what the filter leaves the newest so many, newest last. */
  newest(filter: RecordFilter, limit: number): Promise<readonly Sequenced[]>;
  /** Faults: VM_UNKNOWN, INCIDENT_UNKNOWN. Empty: the latest incident. */
  explain(vm: string, incident: string): Promise<ExplainVmResponse>;
  vms(): Promise<readonly Vm[]>;
  close(): Promise<void>;
}
