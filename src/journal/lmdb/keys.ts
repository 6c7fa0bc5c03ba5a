import { Buffer } from 'node:buffer';
import type { Sequence } from '../journal.js';

/**
 * Keys sort as bytes, so numbers are big-endian.
 *
 *   records   sequence (8)
 *   history   length of vm (1), vm, sequence (8)
 *   rows      key
 *   expiry    time in ms (8), key of the row
 */

const NUMBER = 8;

export const sequenceKey = (sequence: Sequence): Buffer =>
  writeNumber(Buffer.allocUnsafe(NUMBER), sequence, 0);

/** The same for a reader that is done with the key when it asks for the next one: nothing is allocated. */
export const scratchSequenceKey = (sequence: Sequence): Buffer => writeNumber(SCRATCH, sequence, 0);

const SCRATCH = Buffer.alloc(NUMBER);

export const readSequenceKey = (key: Uint8Array): Sequence => readNumber(key, 0);

export function historyKey(vm: Uint8Array, sequence: Sequence): Buffer {
  const key = Buffer.allocUnsafe(1 + vm.length + NUMBER);
  key[0] = vm.length;
  key.set(vm, 1);
  return writeNumber(key, sequence, 1 + vm.length);
}

export function readHistoryKey(key: Uint8Array): { vm: string; sequence: Sequence } {
  const end = key.length - NUMBER;
  return {
    vm: Buffer.from(key.buffer, key.byteOffset + 1, end - 1).toString(),
    sequence: readNumber(key, end),
  };
}

export function expiryKey(atMs: number, row: Uint8Array): Buffer {
  const key = writeNumber(Buffer.allocUnsafe(NUMBER + row.length), atMs, 0);
  key.set(row, NUMBER);
  return key;
}

export const readExpiryKey = (key: Uint8Array): { atMs: number; row: Uint8Array } => ({
  atMs: readNumber(key, 0),
  row: key.subarray(NUMBER),
});

/** The first key behind all that begin with `prefix`; undefined: there is no end. */
export function prefixEnd(prefix: Uint8Array): Buffer | undefined {
  const end = Buffer.from(prefix);
  for (let at = end.length - 1; at >= 0; at--) {
    const byte = end[at];
    if (byte !== undefined && byte < 0xff) {
      end[at] = byte + 1;
      return end.subarray(0, at + 1);
    }
  }
  return undefined;
}

/** Safe integers only: the upper 32 bits and the lower ones apart, since bigint is ten times slower. */
function writeNumber(into: Buffer, value: number, at: number): Buffer {
  into.writeUInt32BE(Math.floor(value / 2 ** 32), at);
  into.writeUInt32BE(value % 2 ** 32, at + 4);
  return into;
}

function readNumber(from: Uint8Array, at: number): number {
  const view = new DataView(from.buffer, from.byteOffset + at, NUMBER);
  return view.getUint32(0) * 2 ** 32 + view.getUint32(4);
}
