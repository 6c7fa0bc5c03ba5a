import type { ByteOrder } from './arch.js';
import type { Problem } from './problem.js';
import type { RawBytes, RawEvent, RawFields } from './raw-event.js';

/** `__u64 data[16]` in struct kvm_run. */
export const MAX_WORDS = 16;
/** u32 type and u32 ndata (or padding) stand before the words, in every ABI but legacy i386. */
const HEADER_BYTES = 8;
const WORD_BYTES = 8;

/** The parts of a raw event in either form. A word is not looked at before it is asked for. */
export interface Slots {
  readonly type: number;
  /** What stands at offset 4; null: the reporter's header has no such field. */
  readonly ndata: number | null;
  /** Words at hand; there may be more of them than the kernel wrote. */
  readonly count: number;
  /** The legacy name of data[0], when it was given by that name. */
  readonly flags: bigint | null;
  /** Only for `index < count`. */
  word(index: number): bigint;
}

export const byteSlots = ({ record }: RawBytes, byteOrder: ByteOrder): Slots => {
  const little = byteOrder === 'little';
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  return {
    type: view.getUint32(0, little),
    ndata: view.getUint32(4, little),
    count: Math.floor((record.byteLength - HEADER_BYTES) / WORD_BYTES),
    flags: null,
    word: (index) => view.getBigUint64(HEADER_BYTES + WORD_BYTES * index, little),
  };
};

export const fieldSlots = ({ type, ndata, data, flags }: RawFields): Slots => ({
  type: type >>> 0,
  ndata: ndata === null ? null : ndata >>> 0,
  count: data.length,
  flags: flags === null ? null : BigInt.asUintN(64, flags),
  word: (index) => BigInt.asUintN(64, data[index] ?? 0n),
});

/** The slots of a raw event, or what is missing to find them. */
export const slotsOf = (raw: RawEvent): Slots | Problem => {
  if (raw.form === 'fields') return fieldSlots(raw);
  if (raw.record.byteLength < HEADER_BYTES) return tooShort(raw, HEADER_BYTES, 'type and ndata');
  if (raw.arch === '') {
    return {
      code: 'MISSING_CONTEXT',
      field: 'arch',
      value: 'not stated',
      expected: 'the host architecture: x86_64, arm64, riscv64, ...',
      advice:
        'The same bytes mean different things on each architecture: state `uname -m` of the host.',
    };
  }
  if (raw.byteOrder === null) {
    return {
      code: 'MISSING_CONTEXT',
      field: 'bytes.byteOrder',
      value: 'not stated',
      expected: 'little or big',
      advice: 'State the byte order of the host, or report the record as fields, which have none.',
    };
  }
  return byteSlots(raw, raw.byteOrder);
};

/** TRUNCATED: the raw event has fewer words than its own count, or than a legacy record, needs. */
export const tooFewWords = (raw: RawEvent, words: number, why: string): Problem =>
  raw.form === 'bytes'
    ? tooShort(raw, HEADER_BYTES + WORD_BYTES * words, why)
    : {
        code: 'TRUNCATED',
        field: 'fields.data',
        value: `${raw.data.length} words`,
        expected: `at least ${words}: ${why}`,
        advice: 'Report the first ndata words of data; for a legacy record, its flags.',
      };

const tooShort = ({ record }: RawBytes, bytes: number, why: string): Problem => ({
  code: 'TRUNCATED',
  field: 'bytes.record',
  value: `${record.byteLength} bytes`,
  expected: `at least ${bytes}: ${why}`,
  advice:
    'Copy the record from byte 0 of system_event on: 136 bytes always suffice, 16 for a legacy one.',
});
