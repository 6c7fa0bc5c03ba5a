import { Bell } from '../lib/bell.js';
import { type FleetConnection, MAX_BLOCK_MS } from './connection.js';
import { fairShare } from './fair-share.js';
import { JOIN } from './group-scripts.js';
import type { GroupState } from './group-state.js';
import type { HeldPartition, Parking } from './held-partition.js';
import { type GroupKeys, partitionOf } from './keys.js';
import { type Member, PartitionStore } from './partition-store.js';
import { type ReadSettings, readPartition } from './read-partition.js';

export interface SessionSettings extends ReadSettings {
  readonly member: Member;
  readonly readAhead: number;
  /** `ack()` waits for so many replicas. */
  readonly minReplicas: number;
}

/**
 * One consumer's work over one connection, from connecting until that breaks: it holds its share of the partitions,
 * reads them as far as there is room, and makes acks durable. All that outlives a connection is in the state.
 */
export class GroupSession {
  readonly #connection: FleetConnection;
  readonly #keys: GroupKeys;
  readonly #settings: SessionSettings;
  readonly #state: GroupState;
  readonly #stores = new Map<number, PartitionStore>();
  readonly #signal: AbortSignal;
  /** The blocking wait for news that is under way, and whether it failed. */
  #watch: Promise<void> | null = null;
  #watchFailure: unknown = null;

  constructor(
    connection: FleetConnection,
    keys: GroupKeys,
    settings: SessionSettings,
    state: GroupState,
    signal: AbortSignal,
  ) {
    this.#connection = connection;
    this.#keys = keys;
    this.#settings = settings;
    this.#state = state;
    this.#signal = signal;
  }

  /** Makes the groups, takes its partitions up again, then works until the signal aborts or the connection fails. */
  async run(onReady: () => void): Promise<void> {
    await this.#makeGroups();
    await each(this.#state.held.values(), (partition) => this.#takeUpAgain(partition));
    await this.#share();
    onReady();
    const stop = new AbortController();
    const rings = () => {
      this.#state.readBell.ring();
      this.#state.flushBell.ring();
      this.#shareBell.ring();
    };
    this.#signal.addEventListener('abort', rings);
    const loop = async (step: () => Promise<void>) => {
      try {
        while (!stop.signal.aborted && !this.#signal.aborted) await step();
      } finally {
        stop.abort();
        rings();
      }
    };
    try {
      const loops = [
        loop(() => this.#readStep()),
        loop(() => this.#flushStep()),
        loop(() => this.#shareStep()),
      ];
      const ended = await Promise.allSettled(loops);
      for (const result of ended) if (result.status === 'rejected') throw result.reason;
    } finally {
      this.#signal.removeEventListener('abort', rings);
    }
  }

  /** Makes durable what was acked, and gives all partitions to others. */
  async leave(): Promise<void> {
    await each(this.#state.held.values(), async (partition) => {
      await this.#flush(partition);
      await this.#store(partition.index).release();
    });
    await this.#connection.call('ZREM', [this.#keys.members, this.#settings.member.token]);
  }

  readonly #shareBell = new Bell();

  async #makeGroups(): Promise<void> {
    const { begin, left, marksOf } = this.#state.beginning((host) =>
      partitionOf(host, this.#keys.partitions),
    );
    const indexes = Array.from({ length: this.#keys.partitions }, (_, index) => index);
    await each(indexes, async (index) => {
      const remembered = this.#state.remembered.get(index) ?? [];
      const marks = left === 'fresh' ? marksOf(index) : remembered;
      await this.#store(index).createGroup(begin, left, marks);
    });
    this.#state.begun();
  }

  /** Whoever lost its lease without another one taking it (a new connection, an emptied Redis) goes on where it was. */
  async #takeUpAgain(partition: HeldPartition): Promise<void> {
    const store = this.#store(partition.index);
    const marks = await store.acquire();
    if (marks === 'lost') return this.#state.lose(partition);
    if ((await partition.catchUp(store, marks, this.#confirm)) === 'lost') {
      this.#state.lose(partition);
    }
  }

  async #shareStep(): Promise<void> {
    await this.#shareBell.wait(this.#settings.member.leaseMs / 3);
    if (!this.#signal.aborted) await this.#share();
  }

  /** Renews what it has, gives away what is more than its share, and takes what is free up to it. */
  async #share(): Promise<void> {
    const { held } = this.#state;
    const { token, leaseMs } = this.#settings.member;
    const members = Number(
      await this.#connection.run(JOIN, [this.#keys.members], [token, leaseMs]),
    );
    await each([...held.values()], async (partition) => {
      if (!(await this.#store(partition.index).renew())) await this.#takeUpAgain(partition);
    });
    const share = fairShare(this.#keys.partitions, members);
    const byWork = [...held.values()].sort((a, b) => a.order.out - b.order.out || a.held - b.held);
    for (const [index, partition] of byWork.entries()) {
      partition.leaving = index < held.size - share;
    }
    await this.#giveIdleAway();
    this.#state.handBell.ring();
    if (held.size >= share) return;
    const free = shuffled(
      Array.from({ length: this.#keys.partitions }, (_, index) => index).filter(
        (index) => !held.has(index),
      ),
    );
    for (const index of free) {
      if (held.size >= share || this.#signal.aborted) return;
      const marks = await this.#store(index).acquire();
      if (marks === 'lost') continue;
      const partition = this.#state.hold(index);
      const known = [...marks, ...(this.#state.remembered.get(index) ?? [])];
      const store = this.#store(index);
      if ((await partition.catchUp(store, known, this.#confirm)) === 'lost') {
        this.#state.lose(partition);
      }
      this.#state.readBell.ring();
    }
  }

  async #giveIdleAway(): Promise<void> {
    for (const partition of [...this.#state.held.values()]) {
      if (!partition.leaving || !partition.isIdle) continue;
      this.#state.lose(partition);
      await this.#store(partition.index).release();
    }
  }

  async #flushStep(): Promise<void> {
    await this.#state.flushBell.wait(FLUSH_AGAIN_MS);
    await each([...this.#state.held.values()], async (partition) => {
      if (partition.isDirty) await this.#flush(partition);
    });
    await this.#giveIdleAway();
  }

  async #flush(partition: HeldPartition): Promise<void> {
    const store = this.#store(partition.index);
    const onParked = (parking: Parking) => this.#state.notice(parking);
    if ((await partition.flush(store, this.#confirm, onParked)) === 'lost') {
      await this.#takeUpAgain(partition);
    }
    this.#state.readBell.ring();
  }

  /** Whether enough replicas have all that this connection wrote. */
  readonly #confirm = async (): Promise<boolean> => {
    const { minReplicas } = this.#settings;
    if (minReplicas === 0) return true;
    const have = await this.#connection.call('WAIT', [minReplicas, REPLICA_WAIT_MS]);
    return Number(have) >= minReplicas;
  };

  async #readStep(): Promise<void> {
    const due: HeldPartition[] = [];
    for (const partition of this.#state.held.values()) {
      if (partition.leaving) continue;
      if (this.#roomOf(partition) < this.#settings.readAhead / 2) {
        // What comes while there is no room is not watched for.
        partition.more = true;
      } else if (partition.drainAfter !== null || partition.more) {
        due.push(partition);
      }
    }
    if (due.length === 0) return this.#news();
    await each(due, async (partition) => {
      const read = await readPartition(
        this.#store(partition.index),
        partition,
        this.#roomOf(partition),
        this.#settings,
      );
      if (read === 'lost') await this.#takeUpAgain(partition);
    });
    this.#state.handBell.ring();
    this.#state.flushBell.ring();
  }

  #roomOf(partition: HeldPartition): number {
    return this.#settings.readAhead - partition.held;
  }

  /** Waits until there may be something to read. */
  async #news(): Promise<void> {
    if (this.#watchFailure !== null) throw this.#watchFailure;
    const watched = [...this.#state.held.values()].filter(
      (partition) => !partition.leaving && !partition.more && partition.drainAfter === null,
    );
    if (this.#watch === null && watched.length > 0) {
      const all = watched.length === this.#state.held.size;
      this.#watch = this.#watchFor(watched, all ? MAX_BLOCK_MS : SHORT_WATCH_MS)
        .catch((error: unknown) => {
          this.#watchFailure = error ?? new Error('the wait for news failed');
        })
        .finally(() => {
          this.#watch = null;
          this.#state.readBell.ring();
        });
    }
    await this.#state.readBell.wait(MAX_BLOCK_MS);
  }

  async #watchFor(watched: readonly HeldPartition[], blockMs: number): Promise<void> {
    const streams = watched.map(({ index, newest }) => ({
      key: this.#keys.partition(index).records,
      after: newest,
    }));
    const news = await this.#connection.watch(streams, blockMs);
    for (const partition of watched) {
      // Silence for the whole time is looked into too: a Redis that was emptied has nothing to tell.
      partition.more ||= news === null || news.has(this.#keys.partition(partition.index).records);
    }
  }

  #store(index: number): PartitionStore {
    let store = this.#stores.get(index);
    if (store === undefined) {
      const { member } = this.#settings;
      store = new PartitionStore(this.#connection, this.#keys.partition(index), member);
      this.#stores.set(index, store);
    }
    return store;
  }

  /** Writes down how often an entry is handed out, before it is. False: it may not be. */
  async count(partition: HeldPartition, id: string, deliveries: number): Promise<boolean> {
    const claimed = await this.#store(partition.index).claim([{ id, deliveries }]);
    if (claimed !== 'lost') return true;
    await this.#takeUpAgain(partition);
    return false;
  }
}

/** A wait for news blocks on the server shorter while some partitions are not waited for. */
const SHORT_WATCH_MS = 100;
/** What could not be confirmed is tried again after this. */
const FLUSH_AGAIN_MS = 1000;
const REPLICA_WAIT_MS = 500;

const each = async <T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> => {
  await Promise.all([...items].map(work));
};

const shuffled = (indexes: readonly number[]): number[] =>
  indexes
    .map((index) => ({ index, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ index }) => index);
