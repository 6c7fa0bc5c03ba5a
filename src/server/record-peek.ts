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
  [17, 'host'],
]);

export interface RecordPeek {
  /** Empty for records of the host. */
  readonly vm: string;
  /** Empty outside an incident. */
  readonly incident: string;
  /** Empty: a kind that this version does not know. */
  readonly kind: string;
  /** Number of EventType; 0 for records that are no events. */
  readonly eventType: number;
}

const VM_ID = 2;
const INCIDENT_ID = 3;
const EVENT = 10;

/** What filters look at in a stored Record, read from the tags alone. */
export const peekRecord = (bytes: Uint8Array): RecordPeek => {
  const reader = new BinaryReader(bytes);
  let vm = '';
  let incident = '';
  let kind = '';
  let eventType = 0;
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === WireType.LengthDelimited && field === VM_ID) {
      vm = reader.string();
    } else if (type === WireType.LengthDelimited && field === INCIDENT_ID) {
      incident = reader.string();
    } else {
      kind = RECORD_KINDS.get(field) ?? kind;
      if (type === WireType.LengthDelimited && field === EVENT) {
        eventType = eventTypeOf(reader.bytes());
      } else reader.skip(type, field);
    }
  }
  return { vm, incident, kind, eventType: kind === 'event' ? eventType : 0 };
};

/** EventRecord.event.type: the first field of the first field. */
const eventTypeOf = (eventRecord: Uint8Array): number => {
  const event = fieldOne(eventRecord);
  const type = event instanceof Uint8Array ? fieldOne(event) : 0;
  return typeof type === 'number' ? type : 0;
};

const fieldOne = (bytes: Uint8Array): Uint8Array | number => {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1 && type === WireType.LengthDelimited) return reader.bytes();
    if (field === 1 && type === WireType.Varint) return reader.int32();
    reader.skip(type, field);
  }
  return 0;
};
