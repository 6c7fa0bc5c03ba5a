import { join } from 'node:path';
import { decodeVmRow, VM_ROW_PREFIX } from '../engine/vm-row.js';
import { vmView } from '../engine/vm-view.js';
import { Record } from '../gen/vmwarden/v1/record.js';
import type { JournalReader } from '../journal/lmdb/lmdb-reader.js';
import { Fault } from '../lib/fault.js';
import { systemClock } from '../lib/system-clock.js';
import { observePolicy } from '../policy/observe-policy.js';
import { vmToProto } from '../server/convert.js';
import { peekRecord } from '../server/record-peek.js';
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
    close: () => reader.close(),
  };
};

export const notServing = (socket: string): Fault =>
  new Fault(
    'UNAVAILABLE',
    'NOT_SERVING',
    `No vmwarden listens on ${socket}; start one: vmwarden serve`,
  );

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
