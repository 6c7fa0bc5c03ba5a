import type { Record } from '../gen/vmwarden/v1/record.js';
import type { Commit, Journal, RowWrite, Sequence } from '../journal/journal.js';
import type { StormState } from '../policy/policy.js';
import { CALM } from '../policy/storm.js';
import { encodeRecord } from './records.js';
import { encodeStorm, STORM_ROW } from './storm-row.js';
import type { Tap } from './tap.js';
import { decodeVmRow, encodeVmRow, type VmRow, vmRowKey } from './vm-row.js';

export interface Staged {
  readonly kind: Commit['kind'];
  /** In order; the first gets `journal.next`. */
  readonly records: readonly Record[];
  readonly row?: VmRow;
  /** Of the host. */
  readonly storm?: StormState;
  readonly rows?: readonly RowWrite[];
}

/**
 * The VM rows as the engine sees them: what is durable, under an overlay of what is on its way there. Deciding reads
 * the overlay; when a commit fails, what was staged from it on is dropped, since the journal drops it too.
 */
export class World {
  readonly #journal: Journal;
  readonly #durable: Map<string, VmRow>;
  readonly #overlay = new Map<string, VmRow>();
  /** Rows on their way by the order of their commits, ascending. */
  readonly #underWay = new Map<number, VmRow>();
  /** The same of the storm guard. */
  readonly #stormUnderWay = new Map<number, StormState>();
  #stormDurable: StormState;
  #storm: StormState;
  /** What is being done, by VM: the verb of the step that has begun. */
  readonly #acting = new Map<string, string>();
  #order = 0;
  /** Commits up to this one were dropped with an earlier one that failed, if they were still under way. */
  #droppedThrough = 0;

  readonly #keepUntilMs: (row: VmRow) => number | null;
  readonly #tap: Tap | null;

  /** `keepUntilMs`: when a VM's row may be forgotten unless it is written again; null: never. */
  constructor(
    journal: Journal,
    rows: Iterable<VmRow>,
    keepUntilMs: (row: VmRow) => number | null = () => null,
    tap: Tap | null = null,
    storm: StormState = CALM,
  ) {
    this.#journal = journal;
    this.#tap = tap;
    this.#keepUntilMs = keepUntilMs;
    this.#durable = new Map([...rows].map((row) => [row.id, row]));
    this.#stormDurable = storm;
    this.#storm = storm;
    for (const row of this.#durable.values()) this.#track(row);
  }

  get(vm: string): VmRow | undefined {
    return this.#overlay.get(vm) ?? this.#durable.get(vm);
  }

  /** The row as outsiders may know it. */
  durable(vm: string): VmRow | undefined {
    return this.#durable.get(vm);
  }

  /** No longer keeps the row in memory; nothing of it may be under way. */
  forget(vm: string): void {
    this.#durable.delete(vm);
    this.#acting.delete(vm);
  }

  /** Reads back the row of a VM that was forgotten, if the journal still has it. */
  recall(vm: string): void {
    if (this.get(vm) !== undefined) return;
    const bytes = this.#journal.lookup(vmRowKey(vm));
    const row = bytes === undefined ? null : decodeVmRow(bytes);
    if (row === null) return;
    this.#durable.set(vm, row);
    this.#track(row);
  }

  /** Rows that have never been journaled are not among them. */
  ids(): readonly string[] {
    return [...this.#durable.keys()];
  }

  get storm(): StormState {
    return this.#storm;
  }

  /** VMs on which a step of this verb has begun, and has no outcome yet. */
  acting(verb: string): readonly string[] {
    return [...this.#acting].filter(([, running]) => running === verb).map(([vm]) => vm);
  }

  /** Sequence that the next staged record gets. */
  get next(): Sequence {
    return this.#journal.next;
  }

  /** Resolves with the first record's sequence once all of it is durable. */
  async commit(staged: Staged): Promise<Sequence> {
    const { row, storm } = staged;
    const startedMs = performance.now();
    const { first, durable } = this.#journal.append({
      kind: staged.kind,
      records: staged.records.map((record) => ({ vm: record.vmId, bytes: encodeRecord(record) })),
      rows: [
        ...(row === undefined ? [] : [this.#rowWrite(row)]),
        ...(storm === undefined ? [] : [{ key: STORM_ROW, value: encodeStorm(storm) }]),
        ...(staged.rows ?? []),
      ],
    });
    this.#order += 1;
    const order = this.#order;
    if (row !== undefined) {
      this.#underWay.set(order, row);
      this.#overlay.set(row.id, row);
      this.#track(row);
    }
    if (storm !== undefined) {
      this.#stormUnderWay.set(order, storm);
      this.#storm = storm;
    }
    try {
      await durable;
    } catch (error) {
      this.#drop(order);
      this.#tap?.failed(error);
      throw error;
    }
    this.#tap?.committed({
      kind: staged.kind,
      records: staged.records,
      first,
      elapsedMs: performance.now() - startedMs,
    });
    if (row !== undefined) {
      this.#durable.set(row.id, row);
      this.#underWay.delete(order);
      if (this.#overlay.get(row.id) === row) this.#overlay.delete(row.id);
    }
    if (storm !== undefined) {
      this.#stormDurable = storm;
      this.#stormUnderWay.delete(order);
    }
    return first;
  }

  #rowWrite(row: VmRow): RowWrite {
    const expiresAtMs = this.#keepUntilMs(row);
    const write = { key: vmRowKey(row.id), value: encodeVmRow(row) };
    return expiresAtMs === null ? write : { ...write, expiresAtMs };
  }

  /** Drops what was staged by this commit and those behind it, which fail with it. */
  #drop(failed: number): void {
    if (failed <= this.#droppedThrough) return;
    this.#droppedThrough = this.#order;
    for (const order of this.#underWay.keys()) if (order >= failed) this.#underWay.delete(order);
    this.#overlay.clear();
    for (const row of this.#underWay.values()) this.#overlay.set(row.id, row);
    for (const order of this.#stormUnderWay.keys()) {
      if (order >= failed) this.#stormUnderWay.delete(order);
    }
    this.#storm = [...this.#stormUnderWay.values()].at(-1) ?? this.#stormDurable;
    this.#acting.clear();
    for (const row of [...this.#durable.values(), ...this.#overlay.values()]) this.#track(row);
  }

  #track({ id, incident }: VmRow): void {
    const verb =
      incident?.step.kind === 'started' ? incident.plan[incident.index]?.verb : undefined;
    if (verb === undefined) this.#acting.delete(id);
    else this.#acting.set(id, verb);
  }
}
