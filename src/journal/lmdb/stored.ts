import { Buffer } from 'node:buffer';

/**
 * Values as they lie in the database.
 *
 *   record   time of append in ms (6), length of vm (1), vm, the record's bytes
 *   row      expiry in ms, 0 = never (6), the row's bytes
 */

const TIME = 6;
/** Before a record's vm. */
export const RECORD_HEADER = TIME + 1;
export const ROW_HEADER = TIME;

export interface StoredRecordValue {
  readonly atMs: number;
  readonly vm: Uint8Array;
  readonly bytes: Uint8Array;
}

export interface StoredRowValue {
  /** 0: never. */
  readonly expiresAtMs: number;
  readonly bytes: Uint8Array;
}

/** Writes the header and vm; returns where the record's bytes begin. */
export function writeRecordHeader(into: Buffer, at: number, atMs: number, vm: string): number {
  into.writeUIntBE(atMs, at, TIME);
  const length = into.write(vm, at + RECORD_HEADER);
  into[at + TIME] = length;
  return at + RECORD_HEADER + length;
}

export function writeRowHeader(into: Buffer, at: number, expiresAtMs: number): number {
  into.writeUIntBE(expiresAtMs, at, TIME);
  return at + ROW_HEADER;
}

/** Views into `value`; null when it is too short to be a record. */
export function readRecordValue(value: Uint8Array): StoredRecordValue | null {
  const length = value[TIME];
  if (length === undefined || value.length < RECORD_HEADER + length) return null;
  return {
    atMs: readTime(value),
    vm: value.subarray(RECORD_HEADER, RECORD_HEADER + length),
    bytes: value.subarray(RECORD_HEADER + length),
  };
}

/** A record's bytes apart from `value`, and whether it is a VM's; null when it is too short to be a record. */
export function copyRecord(value: Buffer): { ofVm: boolean; bytes: Uint8Array } | null {
  const length = value[TIME];
  if (length === undefined || value.length < RECORD_HEADER + length) return null;
  const start = RECORD_HEADER + length;
  const bytes = Buffer.allocUnsafe(value.length - start);
  value.copy(bytes, 0, start, value.length);
  return { ofVm: length > 0, bytes };
}

export function readRowValue(value: Uint8Array): StoredRowValue | null {
  if (value.length < ROW_HEADER) return null;
  return { expiresAtMs: readTime(value), bytes: value.subarray(ROW_HEADER) };
}

const readTime = (value: Uint8Array): number =>
  Buffer.from(value.buffer, value.byteOffset, TIME).readUIntBE(0, TIME);
