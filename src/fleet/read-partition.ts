import type { HeldPartition, Payload } from './held-partition.js';
import type { Arrival } from './partition-order.js';
import type { PartitionStore, RawEntry } from './partition-store.js';

export interface ReadSettings {
  readonly maxAttempts: number;
  readonly decode: (entry: RawEntry) => DecodedEntry;
}

/** What an entry says, and what is wrong with it; both, when it is known whose record can't be read. */
export interface DecodedEntry {
  readonly arrival: Omit<Arrival<Payload>, 'attempt' | 'careful'> | null;
  readonly problem: string | null;
}

/**
 * Reads at most `room` entries into the partition's order: first those that the group was handed before and did not
 * ack, whoever of it that was, then new ones. 'lost': the lease is another's.
 */
export const readPartition = (
  store: PartitionStore,
  partition: HeldPartition,
  room: number,
  settings: ReadSettings,
): Promise<'done' | 'lost'> =>
  partition.drainAfter === null
    ? readNew(store, partition, room, settings)
    : readPending(store, partition, partition.drainAfter, room, settings);

/**
 * Redis counts an entry when it is read, not when it is handed out, and whoever vanished may have held many that are
 * good beside the one that it died of. So the first take-over is of many at once; from the second on each
 * is handed out alone, and counted right then. Only those counts park an entry.
 */
const COUNTED_BEFORE = 3;

const readPending = async (
  store: PartitionStore,
  partition: HeldPartition,
  after: string,
  room: number,
  settings: ReadSettings,
): Promise<'done' | 'lost'> => {
  const page = await store.pending(after, room);
  const most = Math.max(settings.maxAttempts, COUNTED_BEFORE);
  const wanted = page
    .filter(({ id }) => !partition.holdsEntry(id))
    .map(({ id, deliveries }) => ({ id, deliveries: Math.max(deliveries, 2), before: deliveries }));
  const entries = wanted.length === 0 ? [] : await store.claim(wanted);
  if (entries === 'lost') return 'lost';
  const before = new Map(wanted.map((one) => [one.id, one.before]));
  for (const entry of entries) {
    const deliveries = before.get(entry.id) ?? 1;
    const spent = deliveries >= most ? `handed out ${deliveries} times and never acked` : null;
    admit(partition, entry, deliveries + 1, deliveries > 1, spent, settings);
  }
  partition.drainAfter = page.length < room ? null : (page.at(-1)?.id ?? null);
  return 'done';
};

const readNew = async (
  store: PartitionStore,
  partition: HeldPartition,
  room: number,
  settings: ReadSettings,
): Promise<'done' | 'lost'> => {
  const answer = await store.read(room);
  if (answer === 'lost') return 'lost';
  for (const entry of answer.entries) admit(partition, entry, 1, false, null, settings);
  partition.more = answer.entries.length === room;
  partition.newest = answer.newest ?? answer.entries.at(-1)?.id ?? partition.newest;
  return 'done';
};

/** `spent`: why it is not to be handed out any more; null: it is. */
const admit = (
  partition: HeldPartition,
  entry: RawEntry,
  attempt: number,
  careful: boolean,
  spent: string | null,
  { decode }: ReadSettings,
): void => {
  const { arrival, problem } = decode(entry);
  const poison = problem ?? spent;
  const { id: entryId, fields } = entry;
  if (arrival === null) {
    partition.park({ entryId, identity: null, reason: poison ?? 'unreadable', fields });
    return;
  }
  const wanted = arrival.wanted && poison === null;
  const admitted = partition.order.admit({ ...arrival, attempt, careful, wanted });
  if (admitted !== 'next' || poison === null || !arrival.wanted) return;
  const { host, journalId, sequence } = arrival;
  partition.park({ entryId, identity: { host, journalId, sequence }, reason: poison, fields });
};
