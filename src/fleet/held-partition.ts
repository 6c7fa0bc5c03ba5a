import type { Record } from '../gen/vmwarden/v1/record.js';
import { Fault } from '../lib/fault.js';
import type { RecordIdentity } from './fleet.js';
import { PartitionOrder, type Settlement, type Slot } from './partition-order.js';
import type { HostMark, PartitionStore } from './partition-store.js';

/** An entry on its way to the `:parked` stream. */
export interface Parking {
  readonly entryId: string;
  readonly identity: RecordIdentity | null;
  readonly reason: string;
  readonly fields: readonly Buffer[];
}

/** What an entry brings along for whom it is handed to. */
export interface Payload {
  readonly record: Record | null;
  readonly fields: readonly Buffer[];
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (fault: Fault) => void;
}

/** A partition while its lease is this consumer's: its order, and what waits to become durable. */
export class HeldPartition {
  readonly order = new PartitionOrder<Payload>();
  /** Pending entries behind this id are still to be looked at; null: all were. '' is before the first. */
  drainAfter: string | null = '';
  /** There may be entries to read. */
  more = true;
  /** Anything behind this entry is news. */
  newest = '0-0';
  /** Nothing more of it is handed out, and as soon as nothing is out it is given to another consumer. */
  leaving = false;
  #lost: Fault | null = null;
  #parkings: Parking[] = [];
  #waiters: Waiter[] = [];
  #flushing = false;

  constructor(readonly index: number) {}

  get held(): number {
    return this.order.held + this.#parkings.length;
  }

  /** It can be given away: what was read of it and not handed out, the next one reads. */
  get isIdle(): boolean {
    return this.order.out === 0 && !this.isDirty && !this.#flushing;
  }

  /** Something waits for `flush`. */
  get isDirty(): boolean {
    return this.order.isDirty || this.#parkings.length > 0 || this.#waiters.length > 0;
  }

  holdsEntry(entryId: string): boolean {
    return (
      this.order.holdsEntry(entryId) ||
      this.#parkings.some((parking) => parking.entryId === entryId)
    );
  }

  park(parking: Parking): void {
    this.#parkings.push(parking);
  }

  /** Settles once the slot's settlement is durable. */
  settle(slot: Slot<Payload>): Promise<void> {
    if (this.#lost !== null) return Promise.reject(this.#lost);
    this.order.settle(slot);
    return this.durable();
  }

  /** Settles once everything settled by now is durable. */
  durable(): Promise<void> {
    if (this.#lost !== null) return Promise.reject(this.#lost);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
    });
  }

  /**
   * Makes durable what was settled, and tells who waits for it. 'lost': the lease is another's. When it throws,
   * what was on its way is made up for by `catchUp`. `confirm` is asked before anybody is told.
   */
  async flush(
    store: PartitionStore,
    confirm: () => Promise<boolean>,
    onParked: (parking: Parking) => void,
  ): Promise<'done' | 'lost'> {
    if (this.#flushing) return 'done';
    this.#flushing = true;
    try {
      while (this.#parkings.length > 0) {
        const [parking] = this.#parkings;
        if (parking === undefined) break;
        if (!(await store.park(parking.entryId, parkedFields(parking)))) return 'lost';
        this.#parkings.shift();
        onParked(parking);
      }
      return await this.#acknowledge(store, this.order.takeSettlement(), confirm);
    } finally {
      this.#flushing = false;
    }
  }

  /** On a new connection: what Redis may not have, or has forgotten. */
  async catchUp(
    store: PartitionStore,
    known: readonly HostMark[],
    confirm: () => Promise<boolean>,
  ): Promise<'done' | 'lost'> {
    for (const { host, journalId, mark } of known) this.order.merge(host, journalId, mark);
    this.drainAfter = '';
    this.more = true;
    this.newest = '0-0';
    const settlement = this.order.takeSettlement();
    const marks = this.order.allMarks();
    return this.#acknowledge(store, { entryIds: settlement?.entryIds ?? [], marks }, confirm);
  }

  /** No ack will be taken any more. */
  lose(fault: Fault): readonly HostMark[] {
    this.#lost = fault;
    for (const { reject } of this.#waiters.splice(0)) reject(fault);
    this.order.takeSettlement();
    return this.order.allMarks();
  }

  async #acknowledge(
    store: PartitionStore,
    settlement: Settlement | null,
    confirm: () => Promise<boolean>,
  ): Promise<'done' | 'lost'> {
    const waiters = this.#waiters.splice(0);
    let told = false;
    try {
      if (settlement !== null && !(await store.acknowledge(settlement))) return 'lost';
      if (waiters.length === 0) return 'done';
      if (!(await confirm())) return 'done';
      told = true;
      for (const { resolve } of waiters) resolve();
      return 'done';
    } finally {
      if (!told) this.#waiters.unshift(...waiters);
    }
  }
}

const MAX_FIELDS = 64;

const parkedFields = ({ entryId, reason, fields }: Parking): (string | Buffer)[] => [
  'parkedreason',
  reason,
  'parkedentry',
  entryId,
  ...fields.slice(0, 2 * MAX_FIELDS),
];

export const lostFault = (partition: number): Fault =>
  new Fault(
    'ABORTED',
    'FLEET_LOST',
    'Another consumer of the group has taken this host over, and may be handed the record again.',
    { metadata: { partition: String(partition) } },
  );

export const closedFault = (): Fault =>
  new Fault(
    'CANCELLED',
    'FLEET_CLOSED',
    'The consumer has ended; the record will be handed out again.',
  );
