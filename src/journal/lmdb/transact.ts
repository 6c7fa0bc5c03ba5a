import { Buffer } from 'node:buffer';
import type { Sequence } from '../journal.js';
import { sequenceKey } from './keys.js';
import type { PreparedCommit } from './prepare.js';
import type { Store, Table } from './store.js';

/**
 * The two ways to one transaction. In the background LMDB's own native thread writes and waits for the disk, and the
 * event loop goes on. At once holds the event loop up, but says of each put how it went and can be called off; it is for
 * finding out which of several commits is to blame.
 */

const NOTHING = Buffer.alloc(1);
/** Keys in order are added at the end of the tree, which fills its pages. */
const APPEND = { append: true } as const;

/** lmdb's types leave out that its asynchronous put takes options, too. */
interface Appender {
  put(key: Uint8Array, value: Uint8Array, options: typeof APPEND): Promise<boolean>;
}

/** What one transaction puts and removes, in order. */
export interface Writes {
  /** The first record's; the transaction happens only if nothing has it yet. */
  readonly first: Sequence;
  readonly commits: readonly PreparedCommit[];
  /** The oldest record from then on; null: stays. */
  readonly oldest: Sequence | null;
}

/** Somebody else has written to the journal. */
export class Overtaken extends Error {
  constructor(sequence: Sequence) {
    super(`record ${sequence} exists already`);
  }
}

/** Durable when it resolves; when it rejects nothing of it happened. Nothing else may write meanwhile. */
export async function writeInBackground(store: Store, writes: Writes): Promise<void> {
  const records = store.records as unknown as Appender;
  const appended: Promise<boolean>[] = [];
  const others: Promise<boolean>[] = [];
  // The condition is checked inside the transaction: where it doesn't hold all is left undone.
  const done = store.records.ifNoExists(sequenceKey(writes.first), () => {
    putAll(store, writes, {
      append: (key, value) => appended.push(records.put(key, value, APPEND)),
      put: (table, key, value) => others.push(table.put(key, value)),
      remove: (table, key) => others.push(table.remove(key)),
      oldest: (sequence) => others.push(store.meta.put('oldest', sequence)),
    });
  });
  // Each of them rejects when the transaction fails; to remove what isn't there is no failure.
  const [stored] = await Promise.all([allTrue([done, ...appended]), allSettled(others)]);
  if (!stored) throw new Overtaken(writes.first);
}

/** The same; returns when it is durable, throws when nothing of it happened. */
export function writeAtOnce(store: Store, writes: Writes): void {
  store.env.transactionSync(() => {
    let sequence = writes.first;
    putAll(store, writes, {
      append: (key, value) => {
        // lmdb's types leave out its answer: false when the key was not behind all others.
        const stored: unknown = store.records.putSync(key, value, APPEND);
        if (stored !== true) throw new Overtaken(sequence);
        sequence += 1;
      },
      put: (table, key, value) => table.putSync(key, value),
      remove: (table, key) => table.removeSync(key),
      oldest: (sequence) => store.meta.putSync('oldest', sequence),
    });
  });
}

/** Removes keys in the background; to remove what isn't there is no failure. */
export async function removeInBackground(
  store: Store,
  removals: readonly (readonly [Table, Uint8Array])[],
): Promise<void> {
  const removed: Promise<boolean>[] = [];
  const done = store.env.batch(() => {
    for (const [table, key] of removals) removed.push(table.remove(key));
  });
  await allSettled([done, ...removed]);
}

interface Way {
  readonly append: (key: Uint8Array, value: Uint8Array) => unknown;
  readonly put: (table: Table, key: Uint8Array, value: Uint8Array) => unknown;
  readonly remove: (table: Table, key: Uint8Array) => unknown;
  readonly oldest: (sequence: Sequence) => unknown;
}

function putAll(store: Store, { first, commits, oldest }: Writes, way: Way): void {
  let sequence = first;
  for (const { records, rows } of commits) {
    for (const { value, history } of records) {
      way.append(sequenceKey(sequence), value);
      if (history) way.put(store.history, history, NOTHING);
      sequence += 1;
    }
    for (const { key, value, expiry } of rows) {
      if (value) way.put(store.rows, key, value);
      else way.remove(store.rows, key);
      if (expiry) way.put(store.expiry, expiry, NOTHING);
    }
  }
  if (oldest !== null) way.oldest(oldest);
}

const allTrue = async (results: Promise<boolean>[]): Promise<boolean> =>
  (await Promise.all(results.map(orCause))).every((result) => result);

const allSettled = async (results: Promise<boolean>[]): Promise<void> => {
  await Promise.all(results.map(orCause));
};

/** lmdb rejects with an error that only points to the cause, a promise whose rejection would else be nobody's. */
async function orCause<T>(done: Promise<T>): Promise<T> {
  try {
    return await done;
  } catch (error) {
    const cause = (error as { readonly commitError?: Promise<never> }).commitError;
    if (cause) await cause;
    throw error;
  }
}
