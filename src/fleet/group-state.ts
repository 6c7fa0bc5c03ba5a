import { Bell } from '../lib/bell.js';
import type { From } from './fleet.js';
import { closedFault, HeldPartition, lostFault, type Parking } from './held-partition.js';
import type { HostMark } from './partition-store.js';

/** What a consumer keeps from one connection to the next. */
export class GroupState {
  /** Partitions whose lease was ours when Redis last said so. */
  readonly held = new Map<number, HeldPartition>();
  /** What is known of partitions that were held once: a failover may have made Redis forget it. */
  readonly remembered = new Map<number, readonly HostMark[]>();
  /** Rung for whoever hands out, reads, makes durable. */
  readonly handBell = new Bell();
  readonly readBell = new Bell();
  readonly flushBell = new Bell();
  #from: From;
  readonly #notices: Parking[] = [];
  #begun = false;

  constructor(from: From) {
    this.#from = from;
  }

  /** The fleet has nothing yet, so now is its beginning. */
  beforeAnything(): void {
    if (this.#from === 'now') this.#from = 'beginning';
  }

  /** How a group is made that is not there; once it was, it is only made again, because Redis lost it. */
  beginning(partitionOf: (host: string) => number): {
    readonly begin: 'beginning' | 'now';
    readonly left: 'fresh' | 'keep';
    readonly marksOf: (partition: number) => readonly HostMark[];
  } {
    if (this.#begun) return { begin: 'beginning', left: 'keep', marksOf: () => [] };
    if (typeof this.#from === 'string') {
      return { begin: this.#from, left: 'fresh', marksOf: () => [] };
    }
    const marks = this.#from.after.map(({ host, journalId, sequence }) => ({
      host,
      journalId,
      mark: { through: sequence, ahead: [] },
    }));
    const marksOf = (partition: number) =>
      marks.filter(({ host }) => partitionOf(host) === partition);
    return { begin: 'beginning', left: 'fresh', marksOf };
  }

  begun(): void {
    this.#begun = true;
  }

  hold(index: number): HeldPartition {
    const partition = new HeldPartition(index);
    this.held.set(index, partition);
    return partition;
  }

  /** It is another's by now, or free. */
  lose(partition: HeldPartition): void {
    if (this.held.get(partition.index) === partition) this.held.delete(partition.index);
    this.remembered.set(partition.index, partition.lose(lostFault(partition.index)));
    this.handBell.ring();
  }

  end(): void {
    for (const partition of this.held.values()) partition.lose(closedFault());
    this.held.clear();
  }

  /** An entry was parked; who consumes is told, unless that is more than is ever listened to. */
  notice(parking: Parking): void {
    this.#notices.push(parking);
    if (this.#notices.length > MAX_NOTICES) this.#notices.shift();
    this.handBell.ring();
  }

  takeNotice(): Parking | undefined {
    return this.#notices.shift();
  }
}

const MAX_NOTICES = 256;
