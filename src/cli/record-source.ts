import type { EventType } from '../event/event-type.js';
import type { Record as JournalRecord } from '../gen/vmwarden/v1/record.js';
import { EventType as WireEventType } from '../gen/vmwarden/v1/system_event.js';
import type { ExplainVmResponse, Hold, Vm } from '../gen/vmwarden/v1/vm_service.js';

/** Empty: all. */
export interface RecordFilter {
  readonly vms: readonly string[];
  /** Names of Record's body. */
  readonly kinds: readonly string[];
  readonly types: readonly EventType[];
  /** As the configuration has them. */
  readonly labels: Readonly<Record<string, string>>;
}

/** As requests have them. */
export const filterFields = ({ vms, kinds, types, labels }: RecordFilter) => ({
  vmIds: [...vms],
  kinds: [...kinds],
  eventTypes: types.map((type) => WireEventType[type]),
  labels: { ...labels },
});

export const letsAllThrough = ({ vms, kinds, types, labels }: RecordFilter): boolean =>
  vms.length + kinds.length + types.length + Object.keys(labels).length === 0;

export interface RecordQuery extends RecordFilter {
  /** 0: from the oldest, or `newest` before the end. */
  readonly after: bigint;
  /** 0: as `after` says. */
  readonly newest: number;
  readonly follow: boolean;
}

export interface Sequenced {
  readonly sequence: bigint;
  readonly record: JournalRecord;
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
  /** null: the host is not held. */
  hostHold(): Promise<Hold | null>;
  close(): Promise<void>;
}
