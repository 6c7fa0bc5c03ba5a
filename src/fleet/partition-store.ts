import type { FleetConnection } from './connection.js';
import {
  ACKNOWLEDGE,
  ACQUIRE,
  CLAIM,
  CREATE_GROUP,
  PARK,
  READ,
  RELEASE,
  RENEW,
} from './group-scripts.js';
import type { Mark } from './host-progress.js';
import { markFromText, markToText } from './mark-text.js';
import type { Settlement } from './partition-order.js';
import { hashOf } from './replies.js';

/** An entry as Redis has it: field, value, field, value, ... */
export interface RawEntry {
  readonly id: string;
  readonly fields: readonly Buffer[];
}

export interface HostMark {
  readonly host: string;
  readonly journalId: string;
  readonly mark: Mark;
}

/** The keys of one partition for one group, all in one slot. */
export interface PartitionKeys {
  readonly records: string;
  readonly published: string;
  /** Where journals of its hosts ended, see `endedKey`. */
  readonly ended: string;
  readonly lease: string;
  readonly marks: string;
  readonly parked: string;
}

export interface Member {
  readonly group: string;
  readonly consumer: string;
  /** Another one for each run of a consumer. */
  readonly token: string;
  readonly leaseMs: number;
}

/** 'lost': the lease is another's. */
type Fenced<T> = T | 'lost';

/** What one consumer of a group does to one partition. Throws what the connection throws. */
export class PartitionStore {
  readonly #connection: FleetConnection;
  readonly #keys: PartitionKeys;
  readonly #member: Member;

  constructor(connection: FleetConnection, keys: PartitionKeys, member: Member) {
    this.#connection = connection;
    this.#keys = keys;
    this.#member = member;
  }

  /** True: the group was not there. `keep`: it had been, and what is known of it stays. */
  async createGroup(
    begin: 'beginning' | 'now',
    left: 'fresh' | 'keep',
    marks: readonly HostMark[],
  ): Promise<boolean> {
    const { records, marks: hash, published } = this.#keys;
    const start = begin === 'now' ? '$' : '0';
    const args = [this.#member.group, start, left, ...marks.flatMap(fieldAndMark)];
    return (await this.#connection.run(CREATE_GROUP, [records, hash, published], args)) === 1;
  }

  async acquire(): Promise<Fenced<readonly HostMark[]>> {
    const { lease, marks, published, ended } = this.#keys;
    const { token, leaseMs } = this.#member;
    const keys = [lease, marks, published, ended];
    const answer = await this.#connection.run(ACQUIRE, keys, [token, leaseMs]);
    if (!Array.isArray(answer)) return 'lost';
    const found: HostMark[] = [];
    for (const [field, value] of hashOf(answer)) {
      const mark = markFromText(field, value);
      if (mark !== null) found.push(mark);
    }
    return found;
  }

  async renew(): Promise<boolean> {
    const { token, leaseMs } = this.#member;
    return (await this.#connection.run(RENEW, [this.#keys.lease], [token, leaseMs])) === 1;
  }

  async release(): Promise<void> {
    await this.#connection.run(RELEASE, [this.#keys.lease], [this.#member.token]);
  }

  /** Entries that nobody of the group was handed yet; `newest`: the stream's, when there were none. */
  async read(count: number): Promise<Fenced<{ entries: RawEntry[]; newest: string | null }>> {
    const { lease, records } = this.#keys;
    const { token, group, consumer } = this.#member;
    const answer = await this.#connection.run(
      READ,
      [lease, records],
      [token, group, consumer, count],
    );
    if (!Array.isArray(answer)) return 'lost';
    const newest = String(answer[1]);
    return { entries: rawEntries(answer[0]), newest: newest === '' ? null : newest };
  }

  /** Entries behind `after` that someone of the group was handed and did not ack. */
  async pending(after: string, count: number): Promise<{ id: string; deliveries: number }[]> {
    const answer: unknown = await this.#connection.call('XPENDING', [
      this.#keys.records,
      this.#member.group,
      after === '' ? '-' : `(${after}`,
      '+',
      count,
    ]);
    if (!Array.isArray(answer)) return [];
    return answer.flatMap((row: unknown) =>
      Array.isArray(row) ? [{ id: String(row[0]), deliveries: Number(row[3]) }] : [],
    );
  }

  /** Makes pending entries this consumer's, and writes down how often each has been handed out by now. */
  async claim(
    wanted: readonly { readonly id: string; readonly deliveries: number }[],
  ): Promise<Fenced<RawEntry[]>> {
    const { lease, records } = this.#keys;
    const { token, group, consumer } = this.#member;
    const pairs = wanted.flatMap(({ id, deliveries }) => [id, deliveries]);
    const args = [token, group, consumer, ...pairs];
    const answer = await this.#connection.run(CLAIM, [lease, records], args);
    return Array.isArray(answer) ? rawEntries(answer) : 'lost';
  }

  /** Marks go first: an entry whose mark is there is known again, should the rest not arrive. */
  async acknowledge({ marks, entryIds }: Settlement): Promise<boolean> {
    const { lease, records, marks: hash } = this.#keys;
    const { token, group } = this.#member;
    const pairs = marks.flatMap(fieldAndMark);
    const words = [...pairs, ...entryIds];
    for (let at = 0; at < words.length; at += CHUNK) {
      const pairsHere = Math.max(0, Math.min(CHUNK, pairs.length - at));
      const args = [token, group, pairsHere, ...words.slice(at, at + CHUNK)];
      const answer = await this.#connection.run(ACKNOWLEDGE, [lease, records, hash], args);
      if (answer !== 1) return false;
    }
    return true;
  }

  async park(entryId: string, fields: readonly (string | Buffer)[]): Promise<boolean> {
    const { lease, records, parked } = this.#keys;
    const { token, group } = this.#member;
    const args = [token, group, entryId, MAX_PARKED, 'parkedgroup', group, ...fields];
    return (await this.#connection.run(PARK, [lease, records, parked], args)) === 1;
  }
}

/** Arguments of one call; even, so that no field is parted from its mark. */
const CHUNK = 2000;

/** Parked entries kept per partition, about; the oldest go first. */
const MAX_PARKED = 10_000;

const fieldAndMark = ({ host, journalId, mark }: HostMark): [string, string] =>
  markToText(host, journalId, mark);

export const rawEntries = (answer: unknown): RawEntry[] =>
  Array.isArray(answer)
    ? answer.flatMap((entry: unknown) =>
        Array.isArray(entry) && Array.isArray(entry[1])
          ? [{ id: String(entry[0]), fields: entry[1].filter((part) => Buffer.isBuffer(part)) }]
          : [],
      )
    : [];
