import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';

/** The names of Record's body by field number, as WatchRecords' `kinds` has them. */
export const RECORD_KINDS: ReadonlyMap<number, string> = new Map([
  [10, 'event'],
  [11, 'decision'],
  [12, 'step'],
  [13, 'vm'],
  [14, 'policy'],
  [15, 'operator'],
  [16, 'loss'],
]);

export interface RecordPeek {
  /** Empty for records of the host. */
  readonly vm: string;
  /** Empty: a kind that this version does not know. */
  readonly kind: string;
}

const VM_ID = 2;

/** A stored Record's VM and kind, read from the outer tags alone. */
export const peekRecord = (bytes: Uint8Array): RecordPeek => {
  const reader = new BinaryReader(bytes);
  let vm = '';
  let kind = '';
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === VM_ID && type === WireType.LengthDelimited) {
      vm = reader.string();
      continue;
    }
    kind = RECORD_KINDS.get(field) ?? kind;
    reader.skip(type, field);
  }
  return { vm, kind };
};
