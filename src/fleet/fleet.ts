import type { Record } from '../gen/vmwarden/v1/record.js';
import type { Missing, Range } from './host-progress.js';

/**
 * The records of all hosts of a fleet, read where they meet: Redis Streams.
 *
 * - Of each host, records come in the order of its journal. Between hosts there is no order.
 * - A group shares the work among its consumers: at any time one consumer has a host, and another takes
 *   over when it is gone. Each group is handed every record of the fleet.
 * - A record is handed out at least once, until it is acked. What `ack()` resolved for is not handed to the
 *   group again, neither after a restart nor when a failover of Redis has records published again; the
 *   exception that remains is a failover that loses the ack itself while every consumer that knew of it is
 *   gone. `minReplicas` closes it: then `ack()` resolves only once so many replicas have it.
 * - Nothing is missing without a gap item that says so.
 * - Memory is bounded: per partition, `readAhead` entries are held; no more is read until some are acked.
 *
 * Faults: FLEET_BAD_INPUT (INVALID_ARGUMENT), FLEET_CLOSED (CANCELLED), FLEET_LOST (ABORTED: another consumer
 * has the host now and may be handed this record), FLEET_ACK_UNSURE (UNAVAILABLE: not confirmed in time; it is
 * sent again while the consumer runs), FLEET_CHANGED (FAILED_PRECONDITION: another number of partitions), and
 * those of Redis. What passes by itself (a Redis that restarts) is retried and told to `onTrouble`.
 */
export interface Fleet {
  /** For programs that act on records. Ends when the signal aborts; a `break` gives the hosts to others at once. */
  consume(options: ConsumeOptions): AsyncIterableIterator<FleetItem>;

  /** For people and dashboards: no group, no ack, nothing is written to Redis. Goes on until the signal aborts. */
  follow(options?: FollowOptions): AsyncIterableIterator<FollowedItem>;

  /** Every host that ever published, in order of their names. */
  hosts(): Promise<readonly HostStatus[]>;

  /** Reads all that Redis has, and says of every host whether it is whole. */
  audit(options?: { readonly signal?: AbortSignal }): Promise<readonly HostAudit[]>;

  /** Ends all iterators, gives up what they hold, and disconnects. Idempotent. */
  close(): Promise<void>;
}

/** What a record is known by, everywhere. */
export interface RecordIdentity {
  readonly host: string;
  readonly journalId: string;
  /** From 1 on, without gaps. */
  readonly sequence: number;
}

export type RecordKind = NonNullable<Record['body']>['$case'];

/** Empty or absent: all. */
export interface Filter {
  readonly hosts?: readonly string[];
  /** Records of these VMs. */
  readonly vms?: readonly string[];
  readonly kinds?: readonly RecordKind[];
}

/**
 * Where a group begins; it has no effect on a group that exists. `now`: only what is published from here on.
 * `after`: behind these records; hosts that are not named begin at the oldest record there is.
 */
export type From = 'beginning' | 'now' | { readonly after: readonly RecordIdentity[] };

export interface ConsumeOptions {
  /** 1 to 64 of a-z A-Z 0-9 . _ - */
  readonly group: string;
  /** Its name within the group, for people who look into Redis; the same letters. */
  readonly consumer: string;
  /** Default `beginning`. */
  readonly from?: From;
  readonly filter?: Filter;
  readonly signal?: AbortSignal;
  /** Entries held per partition, handed out or not, 2 to 4096. Default 64. */
  readonly readAhead?: number;
  /** A consumer that is silent for so long has lost its hosts; 1 s to 10 min. Default 15 s. */
  readonly takeoverAfterMs?: number;
  /** A record that failed so often is parked; 1 to 100, of consumers' deaths at least 3. Default 5. */
  readonly maxAttempts?: number;
  /** Wait before a record is handed out again, doubled each time. Default 1 s, at most 1 min. */
  readonly retryDelayMs?: number;
  /** `ack()` resolves once so many replicas have it; not with Cluster. Default 0. */
  readonly minReplicas?: number;
  /** `ack()` rejects after this. Default 30 s. */
  readonly ackTimeoutMs?: number;
  /** Called when Redis can't be used at the moment, and with null when it can again. Must not throw. */
  readonly onTrouble?: (trouble: Error | null) => void;
}

/** What a consumer is handed. */
export type FleetItem = Delivery | Gap | Parked;

export interface Delivery extends RecordIdentity {
  readonly kind: 'record';
  readonly record: Record;
  /** Where it stands in the stream; not its identity. */
  readonly entryId: string;
  /** 1, unless it was handed out before, or a consumer that went away may have handed it out. */
  readonly attempt: number;
  /** Handled. Resolves when that is durable in Redis; calling it again gives the same promise. */
  ack(): Promise<void>;
  /** Not handled: it comes again after a while, or is parked after `maxAttempts`; resolves when that is settled. */
  retry(reason: string): Promise<void>;
}

/** Records are missing before the next item of this host. Needs no ack; comes again if what follows does. */
export interface Gap {
  readonly kind: 'gap';
  readonly host: string;
  readonly journalId: string;
  readonly missing: Missing;
}

/** An entry was set aside in the partition's `:parked` stream, where it stays for a person to look at. */
export interface Parked {
  readonly kind: 'parked';
  readonly entryId: string;
  /** null: the entry doesn't say. */
  readonly identity: RecordIdentity | null;
  readonly reason: string;
}

export interface FollowOptions {
  /** Default `now`. */
  readonly from?: 'beginning' | 'now';
  readonly filter?: Filter;
  readonly signal?: AbortSignal;
  /** End at what is the newest when it starts. */
  readonly untilNewest?: boolean;
  readonly onTrouble?: (trouble: Error | null) => void;
}

export type FollowedItem = Omit<Delivery, 'ack' | 'retry' | 'attempt'> | Gap | Unreadable;

/** An entry that this version can't read. */
export interface Unreadable {
  readonly kind: 'unreadable';
  readonly entryId: string;
  readonly identity: RecordIdentity | null;
  readonly reason: string;
}

export type { Missing, Range };

/** What Redis knows of one host. */
export interface HostStatus {
  readonly host: string;
  readonly partition: number;
  /** The newest record that it published. */
  readonly published: { readonly journalId: string; readonly sequence: number } | null;
  /** When its newest entry came, by Redis' clock; null: it is not among the newest 1,000 of its partition. */
  readonly newestAt: Date | null;
  /** When the host last said that it is alive, by Redis' clock; null: never. */
  readonly heartbeatAt: Date | null;
  /** `closed`: it went on purpose. `silent`: it should have said something. */
  readonly state: 'alive' | 'closed' | 'silent';
  /** Another process uses the same name. */
  readonly hasRival: boolean;
  /** By name. */
  readonly groups: readonly GroupStatus[];
  /** What is missing among the newest 1,000 entries of its partition; `audit` looks at all. */
  readonly gaps: readonly AuditedGap[];
}

export interface GroupStatus {
  readonly group: string;
  /** The group has settled everything up to here; 0: nothing of this journal. */
  readonly acked: number;
  /** Published records that it has not. */
  readonly lag: number;
}

/** Whether what the stream has of one host is whole. Its oldest records may have been trimmed away; that is no gap. */
export interface HostAudit {
  /** Empty: for entries that don't say whose they are. */
  readonly host: string;
  /** In the order of the stream; none: the host published, and nothing of it is left. */
  readonly journals: readonly JournalSpan[];
  readonly gaps: readonly AuditedGap[];
  /** Records that stand in the stream again: a failover lost what the host had published. */
  readonly repeats: number;
  /** Entries of this host that can't be read. */
  readonly unreadable: number;
  /** Published, as the host was told, and not in the stream; null: nothing is missing at the end. */
  readonly missingTail: Range | null;
}

export interface JournalSpan {
  readonly journalId: string;
  readonly first: number;
  readonly last: number;
  readonly records: number;
}

export type AuditedGap = Range & {
  readonly journalId: string;
  /** What a loss marker says of it; null: nobody says why. */
  readonly reason: string | null;
};
