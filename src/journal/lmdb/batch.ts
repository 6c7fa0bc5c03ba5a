import { Buffer } from 'node:buffer';
import type { Commit, Sequence } from '../journal.js';
import { RECORD_HEADER, ROW_HEADER, writeRecordHeader, writeRowHeader } from './stored.js';

/**
 * Commits on their way to the writer: one buffer a message, transferred and not copied. Values are packed as
 * they will lie in the database, so that the writer only points at them.
 *
 *   commit   kind (1), first (8), drop through (8), records (4), rows (4), the records, the rows
 *   record   length (4), value
 *   row      length of key (2), key, 0 = delete or 1 + length of value (4), value
 */

export interface BatchCommit {
  readonly commit: Commit;
  readonly first: Sequence;
  /** Records up to here are dropped in the same transaction; 0: none. */
  readonly dropThrough: Sequence;
}

/** The same commit on the writer's side: views into the message. */
export interface PackedCommit {
  readonly kind: Commit['kind'];
  readonly first: Sequence;
  readonly dropThrough: Sequence;
  readonly records: readonly Uint8Array[];
  readonly rows: readonly PackedRow[];
}

export interface PackedRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

const COMMIT_HEADER = 1 + 8 + 8 + 4 + 4;

/** Bytes that the commit takes in a message, at most. */
export function packedSize({ records, rows }: Commit): number {
  let size = COMMIT_HEADER;
  for (const { vm, bytes } of records) size += 4 + RECORD_HEADER + vm.length * 3 + bytes.length;
  for (const { key, value } of rows) {
    size += 2 + key.length * 3 + 4 + (value ? ROW_HEADER + value.length : 0);
  }
  return size;
}

/** `size` is the sum of all `packedSize`. */
export function packBatch(batch: readonly BatchCommit[], size: number, nowMs: number): Uint8Array {
  // An ArrayBuffer of its own: Buffer's pool can't be transferred.
  const into = Buffer.from(new ArrayBuffer(size));
  let at = 0;
  for (const { commit, first, dropThrough } of batch) {
    at = into.writeUInt8(commit.kind === 'ingest' ? 1 : 0, at);
    at = into.writeDoubleBE(first, at);
    at = into.writeDoubleBE(dropThrough, at);
    at = into.writeUInt32BE(commit.records.length, at);
    at = into.writeUInt32BE(commit.rows.length, at);
    for (const { vm, bytes } of commit.records) {
      const begin = at + 4;
      const body = writeRecordHeader(into, begin, nowMs, vm);
      into.set(bytes, body);
      into.writeUInt32BE(body + bytes.length - begin, at);
      at = body + bytes.length;
    }
    for (const { key, value, expiresAtMs } of commit.rows) {
      const length = into.write(key, at + 2);
      into.writeUInt16BE(length, at);
      at += 2 + length;
      at = into.writeUInt32BE(value ? 1 + ROW_HEADER + value.length : 0, at);
      if (!value) continue;
      at = writeRowHeader(into, at, expiresAtMs ?? 0);
      into.set(value, at);
      at += value.length;
    }
  }
  return into.subarray(0, at);
}

export function unpackBatch(message: Uint8Array): PackedCommit[] {
  const from = Buffer.from(message.buffer, message.byteOffset, message.length);
  const commits: PackedCommit[] = [];
  let at = 0;
  while (at < from.length) {
    const kind = from[at] === 1 ? 'ingest' : 'outcome';
    const first = from.readDoubleBE(at + 1);
    const dropThrough = from.readDoubleBE(at + 9);
    const recordCount = from.readUInt32BE(at + 17);
    const rowCount = from.readUInt32BE(at + 21);
    at += COMMIT_HEADER;
    const records: Uint8Array[] = [];
    for (let n = 0; n < recordCount; n++) {
      const end = at + 4 + from.readUInt32BE(at);
      records.push(from.subarray(at + 4, end));
      at = end;
    }
    const rows: PackedRow[] = [];
    for (let n = 0; n < rowCount; n++) {
      const keyEnd = at + 2 + from.readUInt16BE(at);
      const key = from.subarray(at + 2, keyEnd);
      const lengthPlusOne = from.readUInt32BE(keyEnd);
      at = keyEnd + 4 + Math.max(0, lengthPlusOne - 1);
      rows.push({ key, value: lengthPlusOne ? from.subarray(keyEnd + 4, at) : null });
    }
    commits.push({ kind, first, dropThrough, records, rows });
  }
  return commits;
}
