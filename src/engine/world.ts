import type { Record } from '../gen/vmwarden/v1/record.js';
import type { Commit, Journal, RowWrite, Sequence } from '../journal/journal.js';
import { encodeRecord } from './records.js';
import { encodeVmRow, type VmRow, vmRowKey } from './vm-row.js';

export interface Staged {
  readonly kind: Commit['kind'];
  /** In order; the first gets `journal.next`. */
  readonly records: readonly Record[];
  readonly row?: VmRow;
  readonly rows?: readonly RowWrite[];
}

/**
 * The VM rows as the engine sees them: what is durable, under an overlay of what is on its way there. Deciding reads
 * the overlay; when a commit fails, all of the overlay is dropped, since the journal drops what was built on it.
 */
export class World {
  readonly #journal: Journal;
  readonly #durable: Map<string, VmRow>;
  readonly #overlay = new Map<string, VmRow>();
  #generation = 0;

  constructor(journal: Journal, rows: Iterable<VmRow>) {
    this.#journal = journal;
    this.#durable = new Map([...rows].map((row) => [row.id, row]));
  }

  get(vm: string): VmRow | undefined {
    return this.#overlay.get(vm) ?? this.#durable.get(vm);
  }

  /** The row as outsiders may know it. */
  durable(vm: string): VmRow | undefined {
    return this.#durable.get(vm);
  }

  /** Rows that have never been journaled are not among them. */
  ids(): readonly string[] {
    return [...this.#durable.keys()];
  }

  /** Sequence that the next staged record gets. */
  get next(): Sequence {
    return this.#journal.next;
  }

  /** Resolves with the first record's sequence once all of it is durable. */
  async commit(staged: Staged): Promise<Sequence> {
    const generation = this.#generation;
    const { row } = staged;
    const { first, durable } = this.#journal.append({
      kind: staged.kind,
      records: staged.records.map((record) => ({ vm: record.vmId, bytes: encodeRecord(record) })),
      rows: [
        ...(row === undefined ? [] : [{ key: vmRowKey(row.id), value: encodeVmRow(row) }]),
        ...(staged.rows ?? []),
      ],
    });
    if (row !== undefined) this.#overlay.set(row.id, row);
    try {
      await durable;
    } catch (error) {
      if (generation === this.#generation) {
        this.#generation += 1;
        this.#overlay.clear();
      }
      throw error;
    }
    if (row !== undefined) {
      this.#durable.set(row.id, row);
      if (this.#overlay.get(row.id) === row) this.#overlay.delete(row.id);
    }
    return first;
  }
}
