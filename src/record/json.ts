import {
  Contact,
  type Decision,
  Disposition,
  type EventRecord,
  HostState,
  Phase,
  type PlannedStep,
  PolicyMode,
  type Record,
  type ReportKey,
  StepState,
} from '../gen/vmwarden/v1/record.js';
import { Initiator, Origin, SystemEvent } from '../gen/vmwarden/v1/system_event.js';
import { eventJson, type Json, type JsonObject } from './event-json.js';
import { systemEventFromProto } from './system-event-codec.js';

type Body = NonNullable<Record['body']>;

/**
 * A journal record in our own JSON: the fields of record.proto in lowerCamelCase, enums as words without prefix, counts
 * as numbers (decimal text above 2^53), times as ISO 8601, null for what is absent. `kind` names the body's key.
 */
export const recordJson = (record: Record): JsonObject => ({
  recordedAt: timeJson(record.recordedAt),
  vmId: record.vmId,
  incidentId: record.incidentId,
  monotonicUs: countJson(record.monotonicUs),
  kind: record.body?.$case ?? null,
  ...(record.body !== undefined && { [record.body.$case]: bodyJson(record.body) }),
});

/** A record with its place in a journal: what `--json` prints, one a line. */
export const sequencedRecordJson = (sequence: bigint | number, record: Record): JsonObject => ({
  sequence: countJson(sequence),
  ...recordJson(record),
});

const bodyJson = (body: Body): JsonObject => {
  switch (body.$case) {
    case 'event':
      return eventRecordJson(body.value);
    case 'decision':
      return decisionJson(body.value);
    case 'step': {
      const { state, elapsedNs, bytesDone, bytesTotal, ...rest } = body.value;
      return {
        ...rest,
        state: wordOf(StepState, state),
        elapsedNs: countJson(elapsedNs),
        bytesDone: countJson(bytesDone),
        bytesTotal: countJson(bytesTotal),
      };
    }
    case 'vm': {
      const { contact, bootEpoch, phase, continuous, ...rest } = body.value;
      return {
        ...rest,
        contact: wordOf(Contact, contact),
        bootEpoch: countJson(bootEpoch),
        phase: wordOf(Phase, phase),
        continuous: continuous ?? null,
      };
    }
    case 'policy':
      return { ...body.value, mode: wordOf(PolicyMode, body.value.mode) };
    case 'operator':
      return { ...body.value };
    case 'loss': {
      const { firstSequence, lastSequence, reason } = body.value;
      return {
        firstSequence: countJson(firstSequence),
        lastSequence: countJson(lastSequence),
        reason,
      };
    }
    case 'host':
      return { ...body.value, state: wordOf(HostState, body.value.state) };
  }
};

const eventRecordJson = (value: EventRecord): JsonObject => ({
  event: value.event === undefined ? null : wireEventJson(value.event),
  origin: wordOf(Origin, value.origin),
  initiator: wordOf(Initiator, value.initiator),
  disposition: wordOf(Disposition, value.disposition),
  vmUid: value.vmUid,
  bootId: value.bootId,
  bootEpoch: countJson(value.bootEpoch),
  occurredAt: timeJson(value.occurredAt),
  key: keyJson(value.key),
  reconciled: value.reconciled,
  count: value.count,
  firstAt: timeJson(value.firstAt),
  fromDriver: value.fromDriver,
  ofEarlierBoot: value.ofEarlierBoot,
  keptUid: value.keptUid ?? null,
});

/** An event of a newer vmwarden, with words that this one has not, comes as proto3 JSON, marked. */
const wireEventJson = (message: SystemEvent): JsonObject => {
  const parsed = systemEventFromProto(message);
  if (parsed.ok) return eventJson(parsed.value);
  return {
    unreadable: parsed.violations.map(({ field, expected }) => `${field}: expected ${expected}`),
    proto: SystemEvent.toJSON(message) as Json,
  };
};

const keyJson = (message: ReportKey | undefined): Json => {
  const key = message?.key;
  if (key === undefined) return null;
  if (key.$case === 'requestId') return { requestId: key.value };
  return { sourceSequence: { ...key.value, sequence: countJson(key.value.sequence) } };
};

const decisionJson = (value: Decision): JsonObject => ({
  eventSequence: countJson(value.eventSequence),
  mode: wordOf(PolicyMode, value.mode),
  rule: value.rule,
  ruleLine: value.ruleLine,
  reasons: value.reasons,
  plan: value.plan.map(plannedJson),
  budget:
    value.budget === undefined
      ? null
      : { ...value.budget, withinMs: countJson(value.budget.withinMs) },
  policyHash: value.policyHash,
  now: timeJson(value.now),
  monotonicMs: countJson(value.monotonicMs),
  hostBootId: value.hostBootId,
  notBefore: timeJson(value.notBefore),
  outOfReach: value.outOfReach,
  inputs: value.inputs === undefined ? null : { ...value.inputs },
  conditionError: value.conditionError,
});

const plannedJson = ({ timeoutMs, otherwise, ...rest }: PlannedStep): JsonObject => ({
  ...rest,
  timeoutMs: countJson(timeoutMs),
  otherwise: otherwise.map(plannedJson),
});

/** The word of an enum's number; the number itself when a newer vmwarden wrote it. */
const wordOf = (words: Readonly<{ [number: number]: string }>, value: number): Json =>
  value === -1 ? value : (words[value] ?? value);

const countJson = (count: bigint | number): Json =>
  count <= Number.MAX_SAFE_INTEGER ? Number(count) : count.toString();

/** null: absent, or a time that no calendar has. */
const timeJson = (time: Date | undefined): string | null =>
  time === undefined || Number.isNaN(time.getTime()) ? null : time.toISOString();
