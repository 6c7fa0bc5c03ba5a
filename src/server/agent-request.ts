import { VM_ID, VM_ID_EXPECTED } from '../config/vm-id.js';
import { boundedName, safeText } from '../event/guest-text.js';
import type { AttachRequest, AgentHello as WireHello } from '../gen/vmwarden/v1/agent_service.js';
import { type AgentGuest, AgentOutcomeKind } from '../gen/vmwarden/v1/agent_service.js';
import { Fault } from '../lib/fault.js';
import { CAPABILITIES } from '../record/system-event-codec.js';
import {
  type AgentHello,
  type AgentOutcome,
  type FromAgent,
  type Guest,
  MAX_EVENTS,
} from '../vmm/attach.js';
import { agentEvent } from './agent-event.js';
import { GUEST_STATES, VERBS } from './agent-words.js';
import { createFieldCheck, type FieldCheck } from './field-check.js';

const MAX_ID_BYTES = 128;
const MAX_STEP_ID_BYTES = 512;
const MAX_WORD_BYTES = 64;
const MAX_MESSAGE_BYTES = 512;
const MAX_PROOFS = 16;
const MAX_PROOF_BYTES = 256;
/** Boots of one process; no guest boots more often. */
const MAX_BOOTS = 2n ** 32n;

/** The first message. Faults: HELLO_EXPECTED (FAILED_PRECONDITION), INVALID_FIELDS (INVALID_ARGUMENT). */
export const helloFromRequest = ({ message }: AttachRequest): AgentHello => {
  if (message?.$case !== 'hello') {
    throw new Fault(
      'FAILED_PRECONDITION',
      'HELLO_EXPECTED',
      `An agent's first message is hello, not ${message?.$case ?? 'an empty one'}`,
    );
  }
  const hello = message.value;
  const check = createFieldCheck();
  if (!VM_ID.test(hello.vmId)) {
    check.add('hello.vm_id', boundedName(hello.vmId, 64), VM_ID_EXPECTED);
  }
  check.text('hello.vm_uid', hello.vmUid, { maxBytes: MAX_ID_BYTES });
  check.text('hello.instance', hello.instance, { maxBytes: MAX_ID_BYTES, required: true });
  check.text('hello.name', hello.name, { maxBytes: MAX_WORD_BYTES });
  check.text('hello.version', hello.version, { maxBytes: MAX_WORD_BYTES });
  check.text('hello.arch', hello.arch, { maxBytes: MAX_WORD_BYTES });
  if (hello.versions.length < 1 || hello.versions.length > 16) {
    check.add('hello.versions', `${hello.versions.length} versions`, '1 to 16 versions');
  }
  const capability = CAPABILITIES.get(hello.capability);
  if (capability === undefined) {
    check.add('hello.capability', String(hello.capability), 'a value of Capability');
  }
  const guest = guestOf(hello.guest, 'hello.guest', check);
  check.done('The agent can not be taken in');
  if (guest === null || capability === undefined) throw unchecked();
  return {
    vm: hello.vmId,
    uid: hello.vmUid,
    instance: hello.instance,
    agent: `${hello.name} ${hello.version}`.trim() || 'an agent without a name',
    versions: hello.versions,
    verbs: verbsOf(hello),
    guest,
    unacknowledged: hello.unacknowledgedEvents,
    takeOver: hello.takeOver,
    waits: hello.waits ?? null,
    arch: hello.arch,
    capability,
  };
};

/** Values of a later protocol are passed over. */
const verbsOf = ({ verbs }: WireHello): AgentHello['verbs'] =>
  new Set(verbs.flatMap((verb) => VERBS.get(verb) ?? []));

/**
 * Any later message. Faults: HELLO_TWICE (FAILED_PRECONDITION); INVALID_FIELDS, BATCH_TOO_LARGE,
 * EMPTY_MESSAGE (INVALID_ARGUMENT).
 */
export const messageFromRequest = ({ message }: AttachRequest, hello: AgentHello): FromAgent => {
  const check = createFieldCheck();
  switch (message?.$case) {
    case 'events': {
      const { events } = message.value;
      if (events.length > MAX_EVENTS) throw batchFault(events.length);
      return { kind: 'events', events: events.map((event) => agentEvent(event, hello)) };
    }
    case 'guest': {
      const guest = guestOf(message.value, 'guest', check);
      check.done('The guest can not be so');
      if (guest === null) throw unchecked();
      return { kind: 'guest', guest, inspectId: numberOf(message.value.inspectId) };
    }
    case 'progress': {
      const { stepId, doneBytes, totalBytes } = message.value;
      stepIdOf('progress.step_id', stepId, check);
      check.done('The progress can not be taken');
      return {
        kind: 'progress',
        stepId,
        progress: { doneBytes: Number(doneBytes), totalBytes: Number(totalBytes) },
      };
    }
    case 'outcome': {
      stepIdOf('outcome.step_id', message.value.stepId, check);
      check.done('The outcome can not be taken');
      return { kind: 'outcome', stepId: message.value.stepId, outcome: outcomeOf(message.value) };
    }
    case 'tookOver': {
      const { revision, problem } = message.value;
      return {
        kind: 'tookOver',
        revision: numberOf(revision),
        problem: safeText(problem, MAX_MESSAGE_BYTES),
      };
    }
    case 'hello':
      throw new Fault('FAILED_PRECONDITION', 'HELLO_TWICE', 'An agent says hello once');
    case undefined:
      throw new Fault('INVALID_ARGUMENT', 'EMPTY_MESSAGE', 'The message has none of its fields');
  }
};

const batchFault = (count: number): Fault =>
  new Fault(
    'INVALID_ARGUMENT',
    'BATCH_TOO_LARGE',
    'The batch has too many events; none of them was taken',
    {
      violations: [
        { field: 'events.events', value: `${count} events`, expected: `at most ${MAX_EVENTS}` },
      ],
    },
  );

const guestOf = (guest: AgentGuest | undefined, path: string, check: FieldCheck): Guest | null => {
  if (guest === undefined) {
    check.add(path, undefined, 'how the guest is');
    return null;
  }
  const state = GUEST_STATES.get(guest.state);
  if (state === undefined) {
    check.add(`${path}.state`, String(guest.state), 'a state of AgentGuestState');
  }
  check.text(`${path}.boot_id`, guest.bootId, { maxBytes: MAX_ID_BYTES, required: true });
  if (guest.boots > MAX_BOOTS) {
    check.add(`${path}.boots`, String(guest.boots), `at most ${MAX_BOOTS}`);
  }
  if (state === undefined || guest.boots > MAX_BOOTS) return null;
  const raw = guest.word === '' ? state : boundedName(guest.word, MAX_WORD_BYTES);
  return { state, raw, bootId: guest.bootId, boots: Number(guest.boots) };
};

const stepIdOf = (field: string, id: string, check: FieldCheck): void =>
  check.text(field, id, { maxBytes: MAX_STEP_ID_BYTES, required: true });

const OUTCOME_KINDS: ReadonlyMap<AgentOutcomeKind, AgentOutcome['kind']> = new Map([
  [AgentOutcomeKind.APPLIED, 'applied'],
  [AgentOutcomeKind.ALREADY, 'already'],
  [AgentOutcomeKind.UNSUPPORTED, 'unsupported'],
  [AgentOutcomeKind.FAILED, 'failed'],
  [AgentOutcomeKind.UNVERIFIED, 'unverified'],
  [AgentOutcomeKind.CANCELLED, 'cancelled'],
]);

/** An outcome is worth having also where its words are not: what can't be read leaves it open what happened. */
const outcomeOf = (wire: {
  readonly kind: AgentOutcomeKind;
  readonly reason: string;
  readonly message: string;
  readonly proof: readonly string[];
}): AgentOutcome => {
  const kind = OUTCOME_KINDS.get(wire.kind);
  const proof = wire.proof.slice(0, MAX_PROOFS).map((line) => safeText(line, MAX_PROOF_BYTES));
  const message = safeText(wire.message, MAX_MESSAGE_BYTES);
  switch (kind) {
    case undefined:
      return {
        kind: 'unverified',
        reason: 'OUTCOME_UNKNOWN',
        message: `the agent answered with outcome kind ${wire.kind}, which has no meaning here`,
        proof,
      };
    case 'applied':
    case 'already':
      return { kind, proof };
    case 'unsupported':
    case 'failed':
    case 'unverified':
    case 'cancelled': {
      const reason = /^[A-Z][A-Z0-9_]{0,63}$/.test(wire.reason) ? wire.reason : 'AGENT_SAID';
      return { kind, reason, message, proof };
    }
  }
};

/** Numbers that go back to us; one that we have not given away finds nobody. */
const numberOf = (value: bigint): number =>
  value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : -1;

const unchecked = (): Error => new Error('violations were added, so the check has thrown');
