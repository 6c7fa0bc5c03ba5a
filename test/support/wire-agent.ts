import type { ClientDuplexStream, ServiceError, StatusObject, status } from '@grpc/grpc-js';
import { onTestFinished } from 'vitest';
import {
  AgentEvent,
  AgentGuest,
  AgentGuestState,
  AgentHello,
  AgentOutcome,
  type AgentOutcomeKind,
  type AgentServiceClient,
  AgentVerb,
  type AttachRequest,
  type AttachResponse,
} from '../../src/gen/vmwarden/v1/agent_service.js';
import { Capability, EventType } from '../../src/gen/vmwarden/v1/system_event.js';
import { detailsOf } from './grpc-server.js';
import { waitFor } from './wait-for.js';

// An agent of which a test says each word.

export const GUEST = AgentGuest.fromPartial({
  state: AgentGuestState.PANICKED,
  word: 'panicked',
  bootId: 'boot-1',
  boots: 1n,
});

export const HELLO = AgentHello.fromPartial({
  versions: [1],
  vmId: 'vm',
  instance: 'one',
  name: 'test',
  version: '1',
  arch: 'x86_64',
  capability: Capability.PRESENT,
  verbs: [AgentVerb.RESTART, AgentVerb.POWER_OFF, AgentVerb.PAUSE],
  guest: GUEST,
});

export interface StreamEnd {
  readonly code: status;
  readonly reason: string;
  readonly fields: readonly string[];
  readonly metadata: { readonly [key: string]: string };
}

export type WireAgent = ReturnType<typeof openAgent>;

/** One stream, and all that comes of it; cancelled when the test ends. */
export const openAgent = (client: AgentServiceClient) => {
  const call: ClientDuplexStream<AttachRequest, AttachResponse> = client.attach();
  const got: NonNullable<AttachResponse['message']>[] = [];
  call.on('data', ({ message }: AttachResponse) => {
    if (message !== undefined) got.push(message);
  });
  let over = false;
  const ended = new Promise<StreamEnd>((resolve) => {
    call.on('error', () => undefined);
    call.on('status', (end: StatusObject) => {
      over = true;
      const { info, violations } = detailsOf(end as ServiceError);
      resolve({
        code: end.code,
        reason: info?.reason ?? '',
        fields: violations.map(({ field }) => field),
        metadata: info?.metadata ?? {},
      });
    });
  });
  onTestFinished(() => call.cancel());
  const send = (message: AttachRequest['message']) => call.write({ message });
  const events = (...all: readonly AgentEvent[]) =>
    send({ $case: 'events', value: { events: [...all] } });
  const outcome = (stepId: string, kind: AgentOutcomeKind, changes: Partial<AgentOutcome> = {}) =>
    send({
      $case: 'outcome',
      value: { ...AgentOutcome.fromPartial({ stepId, kind }), ...changes },
    });
  const kinds = () => got.map(({ $case }) => $case);
  return {
    send,
    events,
    outcome,
    ended,
    isOver: () => over,
    got,
    kinds,
    call,
    hello: async (changes: Partial<AgentHello> = {}) => {
      send({ $case: 'hello', value: { ...HELLO, ...changes } });
      await waitFor('welcome', () => kinds().includes('welcome'));
    },
    /** Answers every inspection with this guest. */
    answering: (guest: () => AgentGuest) =>
      call.on('data', ({ message }: AttachResponse) => {
        if (message?.$case !== 'inspect') return;
        send({ $case: 'guest', value: { ...guest(), inspectId: message.value.inspectId } });
      }),
    steps: () => got.flatMap((one) => (one.$case === 'step' ? [one.value] : [])),
    verdicts: () => got.flatMap((one) => (one.$case === 'outcomeAck' ? [one.value.verdict] : [])),
    acks: () => got.flatMap((one) => (one.$case === 'eventsAck' ? [one.value] : [])),
  };
};

export const helloWith = (changes: Partial<AgentHello> = {}): AttachRequest['message'] => ({
  $case: 'hello',
  value: { ...HELLO, ...changes },
});

export const eventWith = (changes: Partial<AgentEvent> = {}): AgentEvent => ({
  ...AgentEvent.fromPartial({ sequence: 1n, bootId: 'boot-1', boots: 1n }),
  event: {
    $case: 'vmm',
    value: {
      type: EventType.CRASH,
      reason: 'panic',
      action: 'pause',
      arguments: [],
      text: Buffer.alloc(0),
    },
  },
  ...changes,
});
