import { randomUUID } from 'node:crypto';
import { backoffMs } from '../lib/backoff.js';
import { Bell } from '../lib/bell.js';
import { Fault, isFault } from '../lib/fault.js';
import { connect, type FleetConnection } from './connection.js';
import { markerOf, parseEntry } from './entry.js';
import type { ConsumeOptions, Delivery, FleetItem } from './fleet.js';
import { GroupSession } from './group-session.js';
import { GroupState } from './group-state.js';
import type { HeldPartition, Payload } from './held-partition.js';
import { groupKeys } from './keys.js';
import { isLasting } from './lasting.js';
import { type Matches, matches } from './matches.js';
import type { Handing, Slot } from './partition-order.js';
import type { Member, RawEntry } from './partition-store.js';
import { readPartitions } from './partitions.js';
import type { DecodedEntry } from './read-partition.js';
import type { RedisTarget } from './redis-target.js';

/** `consume` of Fleet, with every option said. */
export type ConsumeSettings = Required<Omit<ConsumeOptions, 'signal' | 'onTrouble'>> & {
  readonly onTrouble: (trouble: Error | null) => void;
};

/** One consumer of a group: works from `run` on until `stop`, and hands out what it got. */
export class GroupConsumer {
  readonly #target: RedisTarget;
  readonly #fleet: string;
  readonly #settings: ConsumeSettings;
  readonly #member: Member;
  readonly #matches: Matches;
  readonly #state: GroupState;
  readonly #stop = new AbortController();
  readonly #pause = new Bell();
  #partitions: number | null = null;
  #session: GroupSession | null = null;
  #failure: Error | null = null;
  #hasWorked = false;
  #turn = 0;

  constructor(target: RedisTarget, fleet: string, settings: ConsumeSettings) {
    this.#target = target;
    this.#fleet = fleet;
    this.#settings = settings;
    const { group, consumer, takeoverAfterMs } = settings;
    const token = `${consumer}:${randomUUID()}`;
    this.#member = { group, consumer, token, leaseMs: takeoverAfterMs };
    this.#matches = matches(settings.filter);
    this.#state = new GroupState(settings.from);
  }

  /** Never rejects: what can't be mended is thrown by `next`. */
  async run(): Promise<void> {
    let attempt = 0;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#serve(() => {
          this.#hasWorked = true;
          if (attempt > 0) this.#settings.onTrouble(null);
          attempt = 0;
        });
      } catch (error) {
        // Once it has worked, a refused login may be a password on its way to be changed.
        if (isLasting(error) && (!this.#hasWorked || isChanged(error))) {
          this.#fail(error);
          break;
        }
        attempt += 1;
        if (attempt === 1) this.#settings.onTrouble(error as Error);
        await this.#pause.wait(backoffMs(attempt, BACKOFF_MS, MAX_BACKOFF_MS));
      }
    }
    this.#state.end();
    this.#state.handBell.ring();
  }

  stop(): void {
    this.#stop.abort();
    this.#pause.ring();
    this.#state.handBell.ring();
  }

  /** null: it has been stopped. Throws what can't be mended. */
  async next(): Promise<FleetItem | null> {
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      if (this.#stop.signal.aborted) return null;
      const parking = this.#state.takeNotice();
      if (parking !== undefined) {
        const { entryId, identity, reason } = parking;
        return { kind: 'parked', entryId, identity, reason };
      }
      const item = await this.#take();
      if (item !== null) return item;
      await this.#state.handBell.wait(this.#idleMs());
    }
  }

  #fail(error: unknown): void {
    this.#failure = error instanceof Error ? error : new Error(String(error));
    this.#stop.abort();
  }

  /** One connection's life. */
  async #serve(onReady: () => void): Promise<void> {
    const { signal } = this.#stop;
    const connection = await connect(this.#target);
    const cut = () => setTimeout(connection.close, LEAVE_MS).unref();
    signal.addEventListener('abort', cut, { once: true });
    try {
      const keys = await this.#keys(connection);
      if (keys === null) return;
      const { readAhead, maxAttempts, minReplicas } = this.#settings;
      const decode = (entry: RawEntry) => this.#decode(entry);
      const settings = { member: this.#member, readAhead, maxAttempts, minReplicas, decode };
      const session = new GroupSession(connection, keys, settings, this.#state, signal);
      this.#session = session;
      await session.run(onReady);
      if (signal.aborted) await session.leave();
    } finally {
      this.#session = null;
      signal.removeEventListener('abort', cut);
      connection.close();
    }
  }

  /** Waits for the fleet's first host; null: stopped before. */
  async #keys(connection: FleetConnection) {
    for (let attempt = 1; !this.#stop.signal.aborted; attempt += 1) {
      const partitions = await readPartitions(connection, this.#fleet);
      if (partitions !== null) {
        if (this.#partitions !== null && this.#partitions !== partitions) {
          throw changed(this.#fleet, this.#partitions, partitions);
        }
        this.#partitions = partitions;
        return groupKeys(this.#fleet, partitions, this.#settings.group);
      }
      this.#state.beforeAnything();
      await this.#pause.wait(backoffMs(attempt, BACKOFF_MS, MAX_BACKOFF_MS));
    }
    return null;
  }

  #decode(entry: RawEntry): DecodedEntry {
    const parsed = parseEntry(entry.fields);
    const { identity } = parsed;
    const problem = parsed.ok ? null : parsed.problem;
    if (identity === null) return { arrival: null, problem };
    const { host, journalId, sequence } = identity;
    const record = parsed.ok ? parsed.record : null;
    const wanted = record === null || this.#matches(host, record);
    const payload = { record, fields: entry.fields };
    const marker = record === null ? null : markerOf(record, sequence);
    const { hosts = [] } = this.#settings.filter;
    const gapsWanted = hosts.length === 0 || hosts.includes(host);
    const place = { entryId: entry.id, host, journalId, sequence, marker };
    return { arrival: { ...place, payload, wanted, gapsWanted }, problem };
  }

  /** What is next, of one partition after the other. */
  async #take(): Promise<FleetItem | null> {
    const held = [...this.#state.held.values()];
    for (let step = 0; step < held.length; step += 1) {
      const partition = held[(this.#turn + step) % held.length];
      if (partition === undefined || partition.leaving) continue;
      const handing = partition.order.take(performance.now());
      if (partition.isDirty) this.#state.flushBell.ring();
      if (handing === null) continue;
      this.#turn = (this.#turn + step + 1) % held.length;
      const item = await this.#hand(partition, handing);
      if (item !== null) return item;
    }
    return null;
  }

  async #hand(partition: HeldPartition, handing: Handing<Payload>): Promise<FleetItem | null> {
    const { slot } = handing;
    const { host, journalId, entryId } = slot.arrival;
    if (handing.kind === 'gap') {
      return { kind: 'gap', host, journalId, missing: handing.gap };
    }
    if (slot.careful && !(await this.#count(partition, entryId, slot))) return null;
    return this.#delivery(partition, slot);
  }

  /** False: it could not be written down, so the entry waits. */
  async #count(partition: HeldPartition, entryId: string, slot: Slot<Payload>): Promise<boolean> {
    try {
      if (await this.#session?.count(partition, entryId, slot.attempt)) return true;
    } catch {
      // The session ends of it, and tells.
    }
    partition.order.giveBack(slot, performance.now() + COUNT_AGAIN_MS, slot.attempt);
    return false;
  }

  #delivery(partition: HeldPartition, slot: Slot<Payload>): Delivery | null {
    const { host, journalId, sequence, entryId, payload } = slot.arrival;
    if (payload.record === null) return null;
    let acked: Promise<void> | null = null;
    return {
      kind: 'record',
      host,
      journalId,
      sequence,
      record: payload.record,
      entryId,
      attempt: slot.attempt,
      ack: () => {
        acked ??= this.#confirmed(partition.settle(slot));
        return acked;
      },
      retry: (reason) => this.#retry(partition, slot, reason),
    };
  }

  async #retry(partition: HeldPartition, slot: Slot<Payload>, reason: string): Promise<void> {
    const { maxAttempts, retryDelayMs } = this.#settings;
    if (slot.state.at !== 'handed') return;
    if (slot.attempt < maxAttempts) {
      const waitMs = backoffMs(slot.attempt, retryDelayMs, MAX_RETRY_MS);
      partition.order.giveBack(slot, performance.now() + waitMs, slot.attempt + 1);
      this.#state.handBell.ring();
      return;
    }
    const { host, journalId, sequence, entryId, payload } = slot.arrival;
    partition.park({
      entryId,
      identity: { host, journalId, sequence },
      reason: `failed ${slot.attempt} times: ${reason.slice(0, MAX_REASON)}`,
      fields: payload.fields,
    });
    await this.#confirmed(partition.settle(slot));
  }

  /** A wait for durability, with its deadline. A rejection that nobody looks at is not an unhandled one. */
  #confirmed(durable: Promise<void>): Promise<void> {
    this.#state.flushBell.ring();
    this.#state.handBell.ring();
    const bounded = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(unsure()), this.#settings.ackTimeoutMs);
      durable.then(resolve, reject).finally(() => clearTimeout(timer));
    });
    bounded.catch(() => undefined);
    return bounded;
  }

  #idleMs(): number {
    let soonest = performance.now() + MAX_IDLE_MS;
    for (const partition of this.#state.held.values()) {
      soonest = Math.min(soonest, partition.order.wakeAtMs() ?? soonest);
    }
    return Math.max(0, soonest - performance.now());
  }
}

const BACKOFF_MS = 100;
const MAX_BACKOFF_MS = 10_000;
const MAX_RETRY_MS = 60_000;
const MAX_IDLE_MS = 60_000;
const COUNT_AGAIN_MS = 100;
const MAX_REASON = 500;
/** Leaving in good order may take so long; what is not done then, others take over later. */
const LEAVE_MS = 5000;

const isChanged = (error: unknown): boolean => isFault(error) && error.reason === CHANGED;

const CHANGED = 'FLEET_CHANGED';

const changed = (fleet: string, was: number, is: number): Fault =>
  new Fault(
    'FAILED_PRECONDITION',
    CHANGED,
    `Fleet ${fleet} has ${is} partitions now, and had ${was}: start again with new groups.`,
  );

const unsure = (): Fault =>
  new Fault(
    'UNAVAILABLE',
    'FLEET_ACK_UNSURE',
    'Redis has not confirmed the ack in time; it is sent again while this consumer runs.',
  );
