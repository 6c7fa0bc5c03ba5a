import type { EventReport, Initiator, Origin, ReportKey } from '../../event/report.js';
import {
  type EventRecord,
  StepState,
  type StepUpdate,
  type ReportKey as WireReportKey,
} from '../../gen/vmwarden/v1/record.js';
import { systemEventFromProto } from '../../record/system-event-codec.js';
import type { Outcome } from '../../vmm/driver.js';
import type { Arrival } from '../admit.js';
import { INITIATOR, ORIGIN } from '../record-words.js';
import type { Fold } from '../records.js';

/** Records back into what the engine was told; the inverse of `records.ts`. */

export interface RecordedEvent {
  readonly arrival: Arrival;
  readonly fold: Fold | null;
  /** Under which uid the VM was kept. */
  readonly keptUid: string;
}

/** null: a newer vmwarden wrote it, with words that this one does not know. `life` names vmwarden's. */
export const eventOf = (vm: string, record: EventRecord, life: string): RecordedEvent | null => {
  if (record.event === undefined) return null;
  const parsed = systemEventFromProto(record.event);
  const origin = ORIGINS.get(record.origin);
  const initiator = INITIATORS.get(record.initiator);
  if (!parsed.ok || origin === undefined || initiator === undefined) return null;
  const event = parsed.value;
  const unstated = !record.fromDriver && record.bootId === '';
  const report: EventReport = {
    vm,
    uid: record.vmUid,
    // The mark was put on when it was admitted, and is again.
    event: unstated ? { ...event, anomalies: event.anomalies.slice(0, -1) } : event,
    origin,
    initiator,
    bootId: record.bootId === '' ? null : record.bootId,
    key: keyOf(record.key),
    occurredAtMs: record.occurredAt?.getTime() ?? null,
    reconciled: record.reconciled,
  };
  return {
    arrival: {
      report,
      driver: record.fromDriver
        ? {
            boots: 0,
            life,
            bootId: record.bootId,
            state: null,
            earlier: record.ofEarlierBoot,
            mayRepeat: false,
          }
        : null,
    },
    fold:
      record.count > 1 ? { count: record.count, firstAtMs: record.firstAt?.getTime() ?? 0 } : null,
    keptUid: record.keptUid ?? record.vmUid,
  };
};

/** null: a step that began, or goes on. */
export const outcomeOf = ({ state, reason, message, proof }: StepUpdate): Outcome | null => {
  switch (state) {
    case StepState.APPLIED:
      return { kind: 'applied', proof, state: 'unknown' };
    case StepState.ALREADY:
      return { kind: 'already', proof, state: 'unknown' };
    case StepState.UNSUPPORTED:
      return { kind: 'unsupported', reason, message, proof };
    case StepState.FAILED:
      return { kind: 'failed', reason, message, proof };
    case StepState.UNVERIFIED:
      return { kind: 'unverified', reason, message, proof };
    case StepState.CANCELLED:
      return { kind: 'cancelled', reason, message, proof };
    default:
      return null;
  }
};

const keyOf = (message: WireReportKey | undefined): ReportKey | null => {
  const key = message?.key;
  if (key === undefined) return null;
  return key.$case === 'requestId'
    ? { kind: 'request', requestId: key.value }
    : { kind: 'sequence', ...key.value };
};

const inverse = <Word extends string>(
  table: Readonly<Record<Word, number>>,
): ReadonlyMap<number, Word> =>
  new Map((Object.keys(table) as Word[]).map((word) => [table[word], word]));

const ORIGINS: ReadonlyMap<number, Origin> = inverse(ORIGIN);
const INITIATORS: ReadonlyMap<number, Initiator> = inverse(INITIATOR);
