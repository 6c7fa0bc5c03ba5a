import { Buffer } from 'node:buffer';
import type { Commit, Sequence } from '../journal.js';
import { expiryKey, historyKey } from './keys.js';
import { RECORD_HEADER, ROW_HEADER, writeRecordHeader, writeRowHeader } from './stored.js';

/** A commit with its place in the journal. */
export interface PlacedCommit {
  readonly commit: Commit;
  readonly first: Sequence;
  /** Records up to here are dropped in the same transaction; 0: none. */
  readonly dropThrough: Sequence;
}

/** The same as it will lie in the database: nothing is left that could fail for what the commit holds. */
export interface PreparedCommit {
  readonly kind: Commit['kind'];
  readonly first: Sequence;
  readonly dropThrough: Sequence;
  readonly records: readonly PreparedRecord[];
  readonly rows: readonly PreparedRow[];
}

interface PreparedRecord {
  readonly value: Uint8Array;
  /** Its place in its VM's history; null: it is the host's. */
  readonly history: Uint8Array | null;
}

interface PreparedRow {
  readonly key: Uint8Array;
  /** null deletes. */
  readonly value: Uint8Array | null;
  /** Its place in the index by time; null: it never expires. */
  readonly expiry: Uint8Array | null;
}

/** Bytes that the commit takes in memory, at most. */
export function preparedSize({ records, rows }: Commit): number {
  let size = 0;
  for (const { vm, bytes } of records) size += RECORD_HEADER + vm.length * 3 + bytes.length;
  for (const { key, value } of rows) {
    size += key.length * 3 + (value ? ROW_HEADER + value.length : 0);
  }
  return size;
}

export const prepare = (
  { commit, first, dropThrough }: PlacedCommit,
  nowMs: number,
): PreparedCommit => ({
  kind: commit.kind,
  first,
  dropThrough,
  records: commit.records.map(({ vm, bytes }, at) => prepareRecord(vm, bytes, first + at, nowMs)),
  rows: commit.rows.map(({ key, value, expiresAtMs }) =>
    prepareRow(Buffer.from(key), value, expiresAtMs ?? 0),
  ),
});

function prepareRecord(
  vm: string,
  bytes: Uint8Array,
  sequence: Sequence,
  nowMs: number,
): PreparedRecord {
  const value = Buffer.allocUnsafe(RECORD_HEADER + Buffer.byteLength(vm) + bytes.length);
  const body = writeRecordHeader(value, 0, nowMs, vm);
  value.set(bytes, body);
  const name = value.subarray(RECORD_HEADER, body);
  return { value, history: name.length > 0 ? historyKey(name, sequence) : null };
}

function prepareRow(key: Buffer, bytes: Uint8Array | null, expiresAtMs: number): PreparedRow {
  if (bytes === null) return { key, value: null, expiry: null };
  const value = Buffer.allocUnsafe(ROW_HEADER + bytes.length);
  value.set(bytes, writeRowHeader(value, 0, expiresAtMs));
  return { key, value, expiry: expiresAtMs > 0 ? expiryKey(expiresAtMs, key) : null };
}
