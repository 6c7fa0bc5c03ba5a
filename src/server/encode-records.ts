import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { Sequence, StoredRecord } from '../journal/journal.js';

/**
 * Stored records go out as they are: on the wire a message is its bytes, so field `record` of SequencedRecord takes them
 * without decoding, and what a newer vmwarden wrote is kept.
 */
const sequenced = (writer: BinaryWriter, { sequence, bytes }: StoredRecord): BinaryWriter =>
  writer.uint32(18).fork().uint32(8).uint64(sequence).uint32(18).bytes(bytes).join();

const records = (journalId: string, list: readonly StoredRecord[]): BinaryWriter => {
  const writer = new BinaryWriter().uint32(10).string(journalId);
  for (const record of list) sequenced(writer, record);
  return writer;
};

/** A WatchRecordsResponse. */
export const encodeBatch = (
  journalId: string,
  list: readonly StoredRecord[],
  scanned: Sequence,
): Uint8Array => records(journalId, list).uint32(24).uint64(scanned).finish();

/** A ListRecordsResponse. */
export const encodePage = (
  journalId: string,
  list: readonly StoredRecord[],
  nextPageToken: string,
): Uint8Array => {
  const writer = records(journalId, list);
  return (nextPageToken === '' ? writer : writer.uint32(26).string(nextPageToken)).finish();
};

/** A GetRecordResponse. */
export const encodeRecord = (journalId: string, record: StoredRecord): Uint8Array =>
  records(journalId, [record]).finish();

export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
