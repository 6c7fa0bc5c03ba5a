import { VM_ID, VM_ID_EXPECTED } from '../config/vm-id.js';
import { normalize } from '../event/normalize.js';
import type { EventReport, Initiator, ReportKey } from '../event/report.js';
import type { ReportEventRequest } from '../gen/vmwarden/v1/event_service.js';
import { Initiator as WireInitiator } from '../gen/vmwarden/v1/system_event.js';
import { problemFault, rawEventFromProto } from '../record/raw-event-codec.js';
import { createFieldCheck, type FieldCheck, quoted } from './field-check.js';

const MAX_ID_BYTES = 128;
/** The end of year 9999: beyond it a time has no RFC 3339 text. */
const MAX_TIME_MS = 253_402_300_799_999;

/**
 * A request as the engine takes it. Faults (INVALID_ARGUMENT): INVALID_FIELDS with all violations, their paths in the names of the proto file; the
 * normalizer's own codes (TRUNCATED, MISSING_CONTEXT, ...) for a raw event that can't be understood.
 */
export const reportFromRequest = (request: ReportEventRequest): EventReport => {
  const check = createFieldCheck();
  if (!VM_ID.test(request.vmId)) check.add('vm_id', quoted(request.vmId), VM_ID_EXPECTED);
  check.text('vm_uid', request.vmUid, { maxBytes: MAX_ID_BYTES });
  check.text('boot_id', request.bootId, { maxBytes: MAX_ID_BYTES });
  const key = keyOf(request, check);
  const initiator = initiatorOf(request.initiator, check);
  const occurredAtMs = timeOf(request.occurredAt, check);
  const raw = rawEventFromProto(request.raw);
  if (!raw.ok) check.addAll(raw.violations);
  check.done('The report has fields that can not be taken');
  if (!raw.ok) throw new Error('violations were added, so the check has thrown');
  const normalized = normalize(raw.value);
  if (!normalized.ok) throw problemFault(normalized.problem);
  return {
    vm: request.vmId,
    uid: request.vmUid,
    event: normalized.event,
    origin: 'kernel',
    initiator,
    bootId: request.bootId === '' ? null : request.bootId,
    key,
    occurredAtMs,
    reconciled: false,
  };
};

const keyOf = (request: ReportEventRequest, check: FieldCheck): ReportKey | null => {
  const { requestId, sourceSequence } = request;
  check.text('request_id', requestId, { maxBytes: MAX_ID_BYTES });
  if (sourceSequence === undefined) {
    return requestId === '' ? null : { kind: 'request', requestId };
  }
  if (requestId !== '') {
    check.add('request_id', quoted(requestId), 'either request_id or source_sequence, not both');
  }
  const { source, instance, sequence } = sourceSequence;
  check.text('source_sequence.source', source, { maxBytes: MAX_ID_BYTES, required: true });
  // Without it a source that starts again at 1 would have its new events taken for repeats.
  check.text('source_sequence.instance', instance, { maxBytes: MAX_ID_BYTES, required: true });
  return { kind: 'sequence', source, instance, sequence };
};

const INITIATORS: ReadonlyMap<WireInitiator, Initiator> = new Map([
  [WireInitiator.UNSPECIFIED, 'unknown'],
  [WireInitiator.GUEST, 'guest'],
  [WireInitiator.HOST, 'host'],
  [WireInitiator.OPERATOR, 'operator'],
  [WireInitiator.UNKNOWN, 'unknown'],
]);

const initiatorOf = (wire: WireInitiator, check: FieldCheck): Initiator => {
  const initiator = INITIATORS.get(wire);
  if (initiator !== undefined) return initiator;
  // What vmwarden itself caused, vmwarden knows: a reporter that says so would switch rules off.
  check.add(
    'initiator',
    wire === WireInitiator.VMWARDEN ? 'INITIATOR_VMWARDEN' : String(wire),
    'INITIATOR_GUEST, INITIATOR_HOST, INITIATOR_OPERATOR or INITIATOR_UNKNOWN',
  );
  return 'unknown';
};

const timeOf = (time: Date | undefined, check: FieldCheck): number | null => {
  if (time === undefined) return null;
  const ms = time.getTime();
  if (ms >= 0 && ms <= MAX_TIME_MS) return ms;
  check.add(
    'occurred_at',
    Number.isNaN(ms) ? 'no time that exists' : `${ms} ms since 1970`,
    'a time from 1970 to 9999; leave it out when the source has no clock',
  );
  return null;
};
