import { statfsSync } from 'node:fs';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { JournalStatus } from '../journal.js';
import { corrupt } from './errors.js';
import type { Meta } from './format.js';

export type Table = Database<Uint8Array, Uint8Array>;

/** The LMDB environment and its databases, as a writer or a reader sees them. */
export interface Store {
  readonly env: RootDatabase<unknown, string>;
  readonly meta: Database<unknown, string>;
  readonly records: Table;
  readonly history: Table;
  readonly rows: Table;
  readonly expiry: Table;
}

/** Address space, not a bound: LMDB maps anew when it grows beyond, and keeps the old map for readers. */
const MAP_BYTES = 16 * 1024 ** 3;

export interface StoreOptions {
  readonly dir: string;
  readonly readOnly: boolean;
  /** Called before anything is written; throws to leave it. */
  readonly check: (meta: Database<unknown, string>) => void;
}

export function openStore({ dir, readOnly, check }: StoreOptions): Store {
  const env: RootDatabase<unknown, string> = open({
    path: dir,
    readOnly,
    noSubdir: false,
    mapSize: MAP_BYTES,
    maxDbs: 8,
    // Its asynchronous flush would let a transaction be seen before it is durable.
    overlappingSync: false,
    // A transaction begins when all that is to be in it has been said.
    eventTurnBatching: false,
    encoding: 'json',
  });
  try {
    const meta = named<unknown, string>(env, dir, 'meta', { encoding: 'json' });
    check(meta);
    const table = (name: string): Table =>
      named<Uint8Array, Uint8Array>(env, dir, name, { encoding: 'binary', keyEncoding: 'binary' });
    return {
      env,
      meta,
      records: table('records'),
      history: table('history'),
      rows: table('rows'),
      expiry: table('expiry'),
    };
  } catch (error) {
    void env.close();
    throw error;
  }
}

function named<V, K extends string | Uint8Array>(
  env: RootDatabase<unknown, string>,
  dir: string,
  name: string,
  options: object,
): Database<V, K> {
  // lmdb's types leave out what it does: undefined when a reader asks for a database that isn't there.
  const db: Database<V, K> | undefined = env.openDB<V, K>(name, options);
  if (!db) throw corrupt(dir, `it has no database '${name}'`);
  return db;
}

export const getMeta = <K extends keyof Meta>(
  meta: Database<unknown, string>,
  key: K,
): Meta[K] | undefined => meta.get(key) as Meta[K] | undefined;

/** Free for us on the file system of `dir`, in bytes. */
export function freeBytes(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  return bavail * bsize;
}

interface TableStats {
  readonly pageSize: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

/** Pages in use, in bytes, without the list of free pages. */
export function usage(store: Store): Pick<JournalStatus, 'usedBytes' | 'recordBytes'> {
  const { meta, records, history, rows, expiry } = store;
  const recordBytes = bytesOf(records) + bytesOf(history);
  return { usedBytes: recordBytes + bytesOf(meta) + bytesOf(rows) + bytesOf(expiry), recordBytes };
}

function bytesOf(table: { getStats(): object }): number {
  const { pageSize, treeBranchPageCount, treeLeafPageCount, overflowPages } =
    table.getStats() as TableStats;
  return pageSize * (treeBranchPageCount + treeLeafPageCount + overflowPages);
}
