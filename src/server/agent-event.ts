import type { EventType } from '../event/event-type.js';
import { normalize } from '../event/normalize.js';
import type { Initiator } from '../event/report.js';
import type { SystemEvent } from '../event/system-event.js';
import { vmmEvent } from '../event/vmm-event.js';
import type { AgentEvent as WireEvent } from '../gen/vmwarden/v1/agent_service.js';
import { AgentGuestState } from '../gen/vmwarden/v1/agent_service.js';
import {
  EventType as WireEventType,
  Initiator as WireInitiator,
} from '../gen/vmwarden/v1/system_event.js';
import { Fault, isFault } from '../lib/fault.js';
import { problemFault, rawEventFromProto } from '../record/raw-event-codec.js';
import { CAPABILITY } from '../record/system-event-codec.js';
import type { AgentEvent, AgentHello } from '../vmm/attach.js';
import { GUEST_STATES } from './agent-words.js';
import { createFieldCheck, type FieldCheck } from './field-check.js';

const MAX_ID_BYTES = 128;
const MAX_BOOTS = 2n ** 32n;
/** The end of year 9999: beyond it a time has no RFC 3339 text. */
const MAX_TIME_MS = 253_402_300_799_999;

/**
 * One event of a batch. What can't be taken is refused by its number, with all that is wrong, and the stream lives; only a
 * number that is none (0) ends it: INVALID_FIELDS.
 */
export const agentEvent = (wire: WireEvent, hello: AgentHello): AgentEvent => {
  const { sequence } = wire;
  if (sequence === 0n) {
    throw new Fault('INVALID_ARGUMENT', 'INVALID_FIELDS', 'An event has no number', {
      violations: [{ field: 'events.sequence', value: '0', expected: 'a number from 1' }],
    });
  }
  try {
    return taken(wire, hello);
  } catch (error) {
    if (isFault(error)) return { sequence, refused: error };
    throw error;
  }
};

const taken = (wire: WireEvent, hello: AgentHello): AgentEvent => {
  const check = createFieldCheck();
  check.text('boot_id', wire.bootId, { maxBytes: MAX_ID_BYTES, required: true });
  if (wire.boots > MAX_BOOTS) check.add('boots', String(wire.boots), `at most ${MAX_BOOTS}`);
  const state = GUEST_STATES.get(wire.state) ?? null;
  if (state === null && wire.state !== AgentGuestState.UNSPECIFIED) {
    check.add('state', String(wire.state), 'a state of AgentGuestState');
  }
  const initiator = INITIATORS.get(wire.initiator);
  if (initiator === undefined)
    check.add('initiator', String(wire.initiator), 'a value of Initiator');
  const occurredAtMs = timeOf(wire.occurredAt, check);
  const event = eventOf(wire, hello, check);
  check.done('The event has fields that can not be taken');
  return {
    sequence: wire.sequence,
    refused: null,
    event: event(),
    origin: wire.event?.$case === 'raw' ? 'kernel' : 'agent',
    initiator: initiator ?? 'unknown',
    bootId: wire.bootId,
    boots: Number(wire.boots),
    state,
    occurredAtMs,
  };
};

/** Answers how to make the event, once all fields have been looked at. */
const eventOf = (
  { event }: WireEvent,
  hello: AgentHello,
  check: FieldCheck,
): (() => SystemEvent) => {
  switch (event?.$case) {
    case 'raw': {
      const raw = rawEventFromProto({
        ...event.value,
        arch: event.value.arch === '' ? hello.arch : event.value.arch,
        capability:
          event.value.capability === 0 ? CAPABILITY[hello.capability] : event.value.capability,
      });
      if (!raw.ok) {
        check.addAll(raw.violations);
        return unchecked;
      }
      contradictions(raw.value, hello, check);
      return () => {
        const normalized = normalize(raw.value);
        if (!normalized.ok) throw problemFault(normalized.problem);
        return normalized.event;
      };
    }
    case 'vmm': {
      const { reason, action, arguments: words, text } = event.value;
      const type = TYPES.get(event.value.type);
      if (type === undefined) {
        check.add('vmm.type', String(event.value.type), 'a type that has a meaning');
        return unchecked;
      }
      return () => vmmEvent(type, { reason, action, arguments: words, text });
    }
    case undefined:
      check.add('event', undefined, 'raw or vmm');
      return unchecked;
  }
};

/** One host, one kernel, one guest: what hello said holds for all events. */
const contradictions = (
  raw: { readonly arch: string; readonly capability: AgentHello['capability'] },
  { arch, capability }: AgentHello,
  check: FieldCheck,
): void => {
  if (arch !== '' && raw.arch !== arch) {
    check.add('raw.arch', JSON.stringify(raw.arch.slice(0, 32)), `${arch}, as hello said`);
  }
  if (capability !== 'notStated' && raw.capability !== capability) {
    check.add('raw.capability', raw.capability, `${capability}, as hello said`);
  }
};

const TYPES: ReadonlyMap<WireEventType, EventType> = new Map([
  [WireEventType.SHUTDOWN, 'SHUTDOWN'],
  [WireEventType.RESET, 'RESET'],
  [WireEventType.CRASH, 'CRASH'],
  [WireEventType.WAKEUP, 'WAKEUP'],
  [WireEventType.SUSPEND, 'SUSPEND'],
  [WireEventType.SEV_TERM, 'SEV_TERM'],
  [WireEventType.TDX_FATAL, 'TDX_FATAL'],
  [WireEventType.CRASH_LOADED, 'CRASH_LOADED'],
  [WireEventType.WATCHDOG, 'WATCHDOG'],
  [WireEventType.VMM_ERROR, 'VMM_ERROR'],
  [WireEventType.VMM_EXITED, 'VMM_EXITED'],
]);

const INITIATORS: ReadonlyMap<WireInitiator, Initiator> = new Map([
  [WireInitiator.UNSPECIFIED, 'unknown'],
  [WireInitiator.GUEST, 'guest'],
  [WireInitiator.HOST, 'host'],
  [WireInitiator.OPERATOR, 'operator'],
  [WireInitiator.VMWARDEN, 'vmwarden'],
  [WireInitiator.UNKNOWN, 'unknown'],
]);

const timeOf = (time: Date | undefined, check: FieldCheck): number | null => {
  if (time === undefined) return null;
  const ms = time.getTime();
  if (ms >= 0 && ms <= MAX_TIME_MS) return ms;
  check.add(
    'occurred_at',
    'no such time',
    'a time from 1970 to 9999; leave it out without a clock',
  );
  return null;
};

const unchecked = (): never => {
  throw new Error('violations were added, so the check has thrown');
};
