import type { Anomaly } from '../event/anomaly.js';
import { ANOMALIES } from '../event/anomaly.js';
import { EVENT_TYPES, type EventType } from '../event/event-type.js';
import type { Capability, SystemEvent } from '../event/system-event.js';
import {
  Anomaly as WireAnomaly,
  Capability as WireCapability,
  EventType as WireEventType,
  type SystemEvent as WireSystemEvent,
} from '../gen/vmwarden/v1/system_event.js';
import type { Violation } from '../lib/fault.js';
import { detailFromProto, detailToProto } from './detail-codec.js';

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly violations: readonly Violation[] };

/** The message of an event. Loses nothing: `systemEventFromProto` gives an equal event back. */
export const systemEventToProto = (event: SystemEvent): WireSystemEvent => ({
  type: WireEventType[event.type],
  rawType: event.rawType ?? undefined,
  data: [...event.data],
  anomalies: event.anomalies.map((anomaly) => WireAnomaly[anomaly]),
  capability: CAPABILITY[event.capability],
  arch: event.arch,
  detail: detailToProto(event.detail),
});

/**
 * The event of a message. Words that this version does not know (a newer vmwarden wrote them) and messages that
 * no vmwarden writes are violations, with paths below `path`.
 */
export const systemEventFromProto = (
  message: WireSystemEvent,
  path = 'event',
): Parsed<SystemEvent> => {
  const violations: Violation[] = [];
  const refuse = (field: string, value: string, expected: string): void => {
    violations.push({ field: `${path}.${field}`, value, expected });
  };
  const type = TYPES.get(message.type);
  if (type === undefined) refuse('type', String(message.type), 'an event type this version knows');
  const anomalies: Anomaly[] = [];
  message.anomalies.forEach((number, index) => {
    const anomaly = ANOMALY_WORDS.get(number);
    if (anomaly !== undefined) anomalies.push(anomaly);
    else refuse(`anomalies[${index}]`, String(number), 'an anomaly this version knows');
  });
  const capability = CAPABILITIES.get(message.capability);
  if (capability === undefined) {
    refuse('capability', String(message.capability), 'present, absent or unspecified');
  }
  const detail = detailFromProto(message.detail, refuse);
  if (type === undefined || capability === undefined || detail === null || violations.length > 0) {
    return { ok: false, violations };
  }
  const { data, arch, rawType } = message;
  return {
    ok: true,
    value: { type, rawType: rawType ?? null, data, detail, anomalies, capability, arch },
  };
};

export const CAPABILITY: Readonly<Record<Capability, WireCapability>> = {
  notStated: WireCapability.UNSPECIFIED,
  present: WireCapability.PRESENT,
  absent: WireCapability.ABSENT,
};

const inverse = <Word extends string>(
  words: readonly Word[],
  numberOf: (word: Word) => number,
): ReadonlyMap<number, Word> => new Map(words.map((word) => [numberOf(word), word]));

const TYPES: ReadonlyMap<number, EventType> = inverse(EVENT_TYPES, (word) => WireEventType[word]);
const ANOMALY_WORDS: ReadonlyMap<number, Anomaly> = inverse(ANOMALIES, (word) => WireAnomaly[word]);
export const CAPABILITIES: ReadonlyMap<number, Capability> = inverse(
  ['notStated', 'present', 'absent'],
  (word) => CAPABILITY[word],
);
