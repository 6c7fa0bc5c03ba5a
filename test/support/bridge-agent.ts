import { randomUUID } from 'node:crypto';
import { type ClientDuplexStream, credentials } from '@grpc/grpc-js';
import {
  AgentGuestState,
  AgentOutcomeKind,
  AgentServiceClient,
  type AgentStep,
  AgentVerb,
  type AttachRequest,
  type AttachResponse,
} from '../../src/gen/vmwarden/v1/agent_service.js';
import { EventType, Initiator } from '../../src/gen/vmwarden/v1/system_event.js';
import type { GuestState, Outcome, Sighting, TakeOver } from '../../src/vmm/driver.js';
import { createQemuDriver } from '../../src/vmm/qemu/driver.js';

// An agent for a guest that speaks QMP, as a process of its own: bridge-agent VMWARDEN_SOCKET VM QMP_SOCKET.
// It sees and acts through the QEMU driver, so that the contract's guests can be had through the agent's protocol.

const [socket = '', vm = '', qmp = ''] = process.argv.slice(2);
const RETRY_MS = 20;

type Event = Extract<Sighting, { kind: 'event' }>;

const STATES: Readonly<Record<GuestState, AgentGuestState>> = {
  running: AgentGuestState.RUNNING,
  paused: AgentGuestState.PAUSED,
  panicked: AgentGuestState.PANICKED,
  shutdown: AgentGuestState.SHUTDOWN,
  suspended: AgentGuestState.SUSPENDED,
  watchdog: AgentGuestState.WATCHDOG,
  error: AgentGuestState.ERROR,
  prelaunch: AgentGuestState.PRELAUNCH,
  migrating: AgentGuestState.MIGRATING,
  exited: AgentGuestState.EXITED,
  unknown: AgentGuestState.UNKNOWN,
};

const INITIATORS = {
  guest: Initiator.GUEST,
  host: Initiator.HOST,
  operator: Initiator.OPERATOR,
  vmwarden: Initiator.VMWARDEN,
  unknown: Initiator.UNKNOWN,
};

const KINDS: Readonly<Record<Outcome['kind'], AgentOutcomeKind>> = {
  applied: AgentOutcomeKind.APPLIED,
  already: AgentOutcomeKind.ALREADY,
  unsupported: AgentOutcomeKind.UNSUPPORTED,
  failed: AgentOutcomeKind.FAILED,
  unverified: AgentOutcomeKind.UNVERIFIED,
  cancelled: AgentOutcomeKind.CANCELLED,
};

let guest = { state: 'unknown' as GuestState, raw: 'unknown', bootId: '', boots: 0 };
let waits: TakeOver | null = null;
let wanted: TakeOver | null = null;
let call: ClientDuplexStream<AttachRequest, AttachResponse> | null = null;
let welcomed = false;
let sequence = 0n;
const instance = randomUUID();
const unacknowledged: { sequence: bigint; request: AttachRequest }[] = [];
const steps = new Map<
  string,
  { readonly abort: AbortController; readonly outcome: Promise<Outcome> }
>();

const driver = createQemuDriver({
  vm: {
    id: vm,
    uid: '',
    labels: {},
    driver: { kind: 'qemu', socket: qmp },
    takeOver: false,
    release: { panic: 'shutdown', shutdown: 'poweroff', watchdog: 'reset', reboot: 'reset' },
  },
  socket: qmp,
  clock: {
    now: () => ({ wallMs: Date.now(), monoMs: performance.now(), hostBootId: 'test' }),
  },
  log: { debug: () => undefined, info: () => undefined, warn: () => undefined },
});

const send = (message: AttachRequest['message']): void => {
  if (call !== null && welcomed) call.write({ message });
};

const guestMessage = (inspectId = 0n) => ({
  state: STATES[guest.state],
  word: guest.raw,
  bootId: guest.bootId,
  boots: BigInt(guest.boots),
  inspectId,
});

const tellGuest = (inspectId?: bigint): void =>
  send({ $case: 'guest', value: guestMessage(inspectId) });

const onEvent = ({ report, boots, state }: Event): void => {
  sequence += 1n;
  const { event, occurredAtMs } = report;
  const { detail } = event;
  if (detail.kind !== 'vmm') throw new Error('QMP tells of VMM events alone');
  const request: AttachRequest = {
    message: {
      $case: 'events',
      value: {
        events: [
          {
            sequence,
            event: {
              $case: 'vmm',
              value: {
                type: EventType[event.type as keyof typeof EventType],
                reason: detail.reason,
                action: detail.action,
                arguments: [...detail.arguments],
                text: Buffer.from(detail.text),
              },
            },
            bootId: report.bootId ?? '',
            // A RESET ends a boot; QMP's count is that of the next.
            boots: BigInt(event.type === 'RESET' ? boots - 1 : boots),
            state: state === null ? AgentGuestState.UNSPECIFIED : STATES[state],
            occurredAt: occurredAtMs === null ? undefined : new Date(occurredAtMs),
            initiator: INITIATORS[report.initiator],
          },
        ],
      },
    },
  };
  unacknowledged.push({ sequence, request });
  send(request.message);
  guest = { ...guest, boots, state: state ?? guest.state, raw: state ?? guest.raw };
  tellGuest();
};

const carryOut = (step: AgentStep): Promise<Outcome> => {
  const abort = new AbortController();
  const timeoutMs = Number(step.timeout?.seconds ?? 0n) * 1000 + (step.timeout?.nanos ?? 0) / 1e6;
  const act = {
    id: step.id,
    signal: abort.signal,
    timeoutMs,
    cause: { boots: Number(step.boots), resumed: false },
    onProgress: (progress: { doneBytes: number; totalBytes: number }) =>
      send({
        $case: 'progress',
        value: {
          stepId: step.id,
          doneBytes: BigInt(progress.doneBytes),
          totalBytes: BigInt(progress.totalBytes),
        },
      }),
  };
  const run = (): Promise<Outcome> => {
    switch (step.verb) {
      case AgentVerb.RESTART:
        return driver.restart(act);
      case AgentVerb.DUMP:
        return driver.dump({ ...act, path: step.dumpPath });
      case AgentVerb.POWER_OFF:
        return driver.powerOff(act);
      case AgentVerb.PAUSE:
        return driver.pause(act);
      case AgentVerb.NMI:
        return driver.nmi(act);
      default:
        return driver.resume(act);
    }
  };
  const outcome = run();
  steps.set(step.id, { abort, outcome });
  return outcome;
};

const inspect = async (inspectId: bigint): Promise<void> => {
  const { state, raw, bootId, boots } = await driver.inspect(new AbortController().signal);
  guest = { state, raw, bootId, boots };
  tellGuest(inspectId);
};

const onStep = async (step: AgentStep): Promise<void> => {
  const outcome = await (steps.get(step.id)?.outcome ?? carryOut(step));
  const { kind, proof } = outcome;
  const why = 'reason' in outcome ? outcome : { reason: '', message: '' };
  await inspect(0n).catch(() => undefined);
  send({
    $case: 'outcome',
    value: {
      stepId: step.id,
      kind: KINDS[kind],
      reason: why.reason,
      message: why.message,
      proof: [...proof],
    },
  });
};

const onMessage = ({ message }: AttachResponse): void => {
  switch (message?.$case) {
    case 'welcome':
      welcomed = true;
      for (const { request } of unacknowledged) send(request.message);
      return;
    case 'eventsAck':
      while (
        unacknowledged[0] !== undefined &&
        unacknowledged[0].sequence <= message.value.through
      ) {
        unacknowledged.shift();
      }
      return;
    case 'step':
      void onStep(message.value);
      return;
    case 'cancelStep':
      steps.get(message.value.stepId)?.abort.abort();
      return;
    case 'inspect':
      // A VMM that does not answer is not spoken for.
      inspect(message.value.inspectId).catch(() => undefined);
      return;
    case 'takeOver': {
      const { revision, waits: asked } = message.value;
      const any = asked?.panic === true || asked?.shutdown === true || asked?.watchdog === true;
      wanted = any ? (asked ?? null) : null;
      driver.refresh().then(
        () => send({ $case: 'tookOver', value: { revision, problem: '' } }),
        (error: unknown) =>
          send({ $case: 'tookOver', value: { revision, problem: String(error) } }),
      );
      return;
    }
    case 'outcomeAck':
    case undefined:
      return;
  }
};

const client = new AgentServiceClient(`unix:${socket}`, credentials.createInsecure(), {
  'grpc.initial_reconnect_backoff_ms': RETRY_MS,
  'grpc.max_reconnect_backoff_ms': RETRY_MS,
});

const attach = (): void => {
  welcomed = false;
  const stream = client.attach();
  call = stream;
  stream.on('data', onMessage);
  stream.on('error', () => undefined);
  stream.on('status', () => {
    welcomed = false;
    setTimeout(attach, RETRY_MS);
  });
  stream.write({
    message: {
      $case: 'hello',
      value: {
        versions: [1],
        vmId: vm,
        vmUid: '',
        instance,
        name: 'bridge',
        version: '1',
        arch: '',
        capability: 0,
        verbs: [
          AgentVerb.RESTART,
          AgentVerb.DUMP,
          AgentVerb.POWER_OFF,
          AgentVerb.PAUSE,
          AgentVerb.RESUME,
          AgentVerb.NMI,
        ],
        guest: guestMessage(),
        unacknowledgedEvents: unacknowledged.length,
        takeOver: true,
        waits: waits ?? undefined,
      },
    },
  });
};

// Whoever started it has gone.
process.on('disconnect', () => process.exit(0));

await driver.start({
  signal: new AbortController().signal,
  lastSeen: () => null,
  takeOver: () => wanted,
  onSighting: (sighting) => {
    switch (sighting.kind) {
      case 'connected': {
        const { state, raw, bootId, boots } = sighting.inspection;
        guest = { state, raw, bootId, boots };
        waits = sighting.startedToWait;
        // Once what was found on connecting has been told, too.
        if (call === null) setImmediate(attach);
        else tellGuest();
        return;
      }
      case 'event':
        onEvent(sighting);
        return;
      case 'disconnected':
        return;
    }
  },
});
