import { join } from 'node:path';
import { readHostHold } from '../engine/host-hold.js';
import { decodeVmRow, VM_ROW_PREFIX, vmRowKey } from '../engine/vm-row.js';
import { vmView } from '../engine/vm-view.js';
import { Record as JournalRecord } from '../gen/vmwarden/v1/record.js';
import type { JournalReader } from '../journal/lmdb/lmdb-reader.js';
import { Fault } from '../lib/fault.js';
import { systemClock } from '../lib/system-clock.js';
import { observePolicy } from '../policy/observe-policy.js';
import { vmToProto } from '../server/convert.js';
import { explainVm, holdToProto } from '../server/explain-vm.js';
import { createFieldCheck } from '../server/field-check.js';
import { type Page, pageBackward } from '../server/page-records.js';
import { type RecordFilter, recordFilter, type VmLabels } from '../server/record-filter.js';
import { notServing } from './listens.js';
import {
  filterFields,
  type RecordQuery,
  type RecordSource,
  type Sequenced,
  type RecordFilter as Wanted,
} from './record-source.js';

/** The journal in `<dataDir>/journal`, read-only, while nobody listens on `socket`. */
export const journalSource = async (
  dataDir: string,
  socket: string,
  vms: readonly Labelled[] = [],
): Promise<RecordSource> => {
  const labels = new Map(vms.map((vm) => [vm.id, vm.labels]));
  const { openLmdbReader } = await import('../journal/lmdb/lmdb-reader.js');
  const reader = await openLmdbReader({ dir: join(dataDir, 'journal') });
  return {
    kind: 'journal',
    records: (query) => {
      if (query.follow) throw notServing(socket);
      return read(reader, query, filterOf(query, labels));
    },
    vms: async () => {
      const now = systemClock().now();
      const rows = await reader.rows(VM_ROW_PREFIX);
      return rows.flatMap(({ value }) => {
        const row = decodeVmRow(value);
        if (row === null) return [];
        return [vmToProto(vmView(row, NOT_LIVE, observePolicy(), now))];
      });
    },
    hostHold: async () => holdToProto(readHostHold(reader)) ?? null,
    newest: async (wanted, limit) => {
      const filter = filterOf(wanted, labels);
      const found: Sequenced[] = [];
      let before: number | null = reader.status().newest + 1;
      while (before !== null && found.length < limit) {
        const page: Page = await pageBackward(reader, filter, limit - found.length, before);
        for (const { sequence, bytes } of page.records) {
          found.push({ sequence: BigInt(sequence), record: JournalRecord.decode(bytes) });
        }
        before = page.next;
      }
      return found.reverse();
    },
    explain: async (vm, incident) => {
      const nowMs = systemClock().now().wallMs;
      const row = decodeVmRow(reader.lookup(vmRowKey(vm)) ?? new Uint8Array());
      if (row === null) {
        throw new Fault('NOT_FOUND', 'VM_UNKNOWN', `the journal knows no VM ${vm}`);
      }
      const view = vmView(row, NOT_LIVE, observePolicy(), systemClock().now());
      const hostHold = readHostHold(reader);
      const knowledge = { view, outlook: () => null, hostHold, nowMs, labels: {} };
      return explainVm(reader, knowledge, incident);
    },
    close: () => reader.close(),
  };
};

export interface Labelled {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** As the server filters. Faults: INVALID_FIELDS. */
const filterOf = (wanted: Wanted, labels: VmLabels): RecordFilter => {
  const check = createFieldCheck();
  const filter = recordFilter(filterFields(wanted), labels, check);
  check.done('The records can not be filtered so');
  return filter;
};

/** What only a running vmwarden knows of a VM. */
const NOT_LIVE = {
  driver: '',
  contact: 'none',
  warnings: [],
  startedToWait: null,
  takeOver: false,
} as const;

async function* read(
  reader: JournalReader,
  query: RecordQuery,
  filter: RecordFilter,
): AsyncGenerator<Sequenced> {
  const { oldest, newest } = reader.status();
  let scanned =
    query.after > 0n
      ? Number(query.after)
      : Math.max(0, oldest - 1, query.newest === 0 ? 0 : newest - query.newest);
  while (scanned < newest) {
    const batch = await reader.read({
      after: scanned,
      ...(filter.onlyVm === null ? {} : { vm: filter.onlyVm }),
    });
    if (batch.scanned <= scanned) return;
    scanned = batch.scanned;
    for (const { sequence, bytes } of batch.records) {
      if (filter.wants(bytes))
        yield { sequence: BigInt(sequence), record: JournalRecord.decode(bytes) };
    }
  }
}
