import { join } from 'node:path';
import { readHostHold } from '../engine/host-hold.js';
import { decodeVmRow, VM_ROW_PREFIX, vmRowKey } from '../engine/vm-row.js';
import { vmView } from '../engine/vm-view.js';
import { Record } from '../gen/vmwarden/v1/record.js';
import type { JournalReader } from '../journal/lmdb/lmdb-reader.js';
import { Fault } from '../lib/fault.js';
import { systemClock } from '../lib/system-clock.js';
import { observePolicy } from '../policy/observe-policy.js';
import { vmToProto } from '../server/convert.js';
import { explainVm } from '../server/explain-vm.js';
import { createFieldCheck } from '../server/field-check.js';
import { type Page, pageBackward } from '../server/page-records.js';
import { recordFilter } from '../server/record-filter.js';
import { peekRecord } from '../server/record-peek.js';
import { notServing } from './listens.js';
import type { RecordQuery, RecordSource, Sequenced } from './record-source.js';

/** The journal in `<dataDir>/journal`, read-only, while nobody listens on `socket`. */
export const journalSource = async (dataDir: string, socket: string): Promise<RecordSource> => {
  const { openLmdbReader } = await import('../journal/lmdb/lmdb-reader.js');
  const reader = await openLmdbReader({ dir: join(dataDir, 'journal') });
  return {
    kind: 'journal',
    records: (query) => {
      if (query.follow) throw notServing(socket);
      return read(reader, query);
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
    newest: async ({ vms, kinds }, limit) => {
      const filter = recordFilter(
        { vmIds: vms, kinds, eventTypes: [], labels: {} },
        new Map(),
        createFieldCheck(),
      );
      const found: Sequenced[] = [];
      let before: number | null = reader.status().newest + 1;
      while (before !== null && found.length < limit) {
        const page: Page = await pageBackward(reader, filter, limit - found.length, before);
        for (const { sequence, bytes } of page.records) {
          found.push({ sequence: BigInt(sequence), record: Record.decode(bytes) });
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

/** What only a running vmwarden knows of a VM. */
const NOT_LIVE = {
  driver: '',
  contact: 'none',
  warnings: [],
  startedToWait: null,
  takeOver: false,
} as const;

async function* read(reader: JournalReader, query: RecordQuery): AsyncGenerator<Sequenced> {
  const { oldest, newest } = reader.status();
  const [only] = query.vms;
  let scanned =
    query.after > 0n
      ? Number(query.after)
      : Math.max(0, oldest - 1, query.newest === 0 ? 0 : newest - query.newest);
  while (scanned < newest) {
    const batch = await reader.read({
      after: scanned,
      ...(query.vms.length === 1 && only !== undefined ? { vm: only } : {}),
    });
    if (batch.scanned <= scanned) return;
    scanned = batch.scanned;
    for (const { sequence, bytes } of batch.records) {
      const { vm, kind } = peekRecord(bytes);
      if (query.vms.length > 0 && !query.vms.includes(vm)) continue;
      if (query.kinds.length > 0 && !query.kinds.includes(kind)) continue;
      yield { sequence: BigInt(sequence), record: Record.decode(bytes) };
    }
  }
}
