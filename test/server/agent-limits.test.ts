import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { BadRequest } from '../../src/gen/google/rpc/error_details.js';
import {
  AgentGuest,
  AgentGuestState,
  AgentServiceClient,
  AgentServiceService,
  AttachRequest,
} from '../../src/gen/vmwarden/v1/agent_service.js';
import { Capability, RawEvent } from '../../src/gen/vmwarden/v1/system_event.js';
import { createAgents } from '../../src/vmm/agent/desk.js';
import type { Tuning } from '../../src/vmm/agent/tuning.js';
import { agentVm } from '../support/agent-rig.js';
import { silentLog, startTestServer, type TestServer } from '../support/grpc-server.js';
import { openStream } from '../support/http2-stream.js';
import { watchWith } from '../support/qemu-rig.js';
import { waitFor } from '../support/wait-for.js';
import { eventWith, GUEST, HELLO, helloWith, openAgent } from '../support/wire-agent.js';

// Bounds of what an agent may do to vmwarden, and what it may say of its guest.

const rig = async (tuning: Partial<Tuning> = {}) => {
  const vm = agentVm('vm');
  const agents = createAgents([vm], silentLog, tuning);
  const watcher = watchWith(agents.driver(vm));
  const server = await startTestServer({ agents });
  return { server, watcher };
};

const open = (server: TestServer) => openAgent(server.client(AgentServiceClient));

const frame = (message: AttachRequest['message']): Buffer => {
  const bytes = AttachRequest.encode({ message }).finish();
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
};

test('an agent that reads nothing loses its stream, and the next one is served', async () => {
  const { server, watcher } = await rig();
  const { stream, close } = openStream(
    server.socket,
    AgentServiceService.attach.path,
    AttachRequest.encode({ message: helloWith() }).finish(),
    { end: false },
  );
  stream.on('error', () => undefined);
  await watcher.connected();
  // Each outcome is owed a verdict that names its step: far more than HTTP/2 and the queue take.
  const stepId = 'x'.repeat(512);
  const outcome = frame({
    $case: 'outcome',
    value: { stepId, kind: 1, reason: '', message: '', proof: [] },
  });
  const many = Buffer.concat(Array.from({ length: 2_000 }, () => outcome));
  stream.write(many);
  const { reason } = await watcher.disconnected();
  expect(reason).toMatch(/128 messages wait for the agent, which reads none of them/);
  const next = open(server);
  await next.hello({ instance: 'two' });
  close();
});

test('a message above 64 KiB ends the stream, one above 4 MiB too, and the next agent is served', async () => {
  const { server } = await rig();
  const proof = (bytes: number) => ({ proof: ['x'.repeat(bytes)] });
  const agent = open(server);
  await agent.hello();
  // The largest that is taken.
  agent.outcome('nobody', 1, proof(65_000));
  await waitFor('a verdict', () => agent.verdicts().length === 1);
  agent.outcome('nobody', 1, proof(65_536));
  expect(await agent.ended).toMatchObject({
    code: status.RESOURCE_EXHAUSTED,
    reason: 'MESSAGE_TOO_LARGE',
    metadata: { limitBytes: '65536' },
  });
  const giant = open(server);
  await giant.hello();
  giant.outcome('nobody', 1, proof(5 * 1024 * 1024));
  expect((await giant.ended).code).toBe(status.RESOURCE_EXHAUSTED);
  const first = open(server);
  first.send(helloWith({ name: 'x'.repeat(70_000) }));
  expect((await first.ended).reason).toBe('MESSAGE_TOO_LARGE');
  await open(server).hello({ instance: 'two' });
});

test('a step of a process that another one takes the place of ends unverified, and is not asked of the new one', async () => {
  const { server, watcher } = await rig();
  const agent = open(server);
  let guest = GUEST;
  agent.answering(() => guest);
  await agent.hello();
  await watcher.connected();
  const restart = watcher.driver.restart(watcher.act({ id: 'old' }));
  await waitFor('the step', () => agent.steps().length === 1);
  guest = AgentGuest.fromPartial({ ...GUEST, bootId: 'boot-2', state: AgentGuestState.RUNNING });
  agent.send({ $case: 'guest', value: guest });
  expect(await restart).toMatchObject({ kind: 'unverified', reason: 'OTHER_PROCESS' });
  await watcher.event('VMM_EXITED');
  // Neither is an agent that comes back asked for it.
  const again = open(server);
  again.answering(() => guest);
  await again.hello({ guest });
  await watcher.driver.inspect(new AbortController().signal);
  expect(again.steps()).toEqual([]);
});

test('an event that contradicts hello is refused with the field, the value and what hello said', async () => {
  const { server, watcher } = await rig();
  const agent = open(server);
  await agent.hello({ guest: { ...GUEST, state: AgentGuestState.RUNNING } });
  const raw = (changes: Partial<RawEvent>) => ({
    $case: 'raw' as const,
    value: {
      ...RawEvent.create(),
      form: {
        $case: 'fields' as const,
        value: { type: 3, ndata: 1, data: [0n], flags: undefined },
      },
      ...changes,
    },
  });
  agent.events(
    eventWith({ sequence: 1n, event: raw({ capability: Capability.ABSENT }) }),
    eventWith({ sequence: 2n, event: raw({ arch: 'arm64' }) }),
    eventWith({ sequence: 3n, event: raw({ capability: Capability.PRESENT }) }),
  );
  await waitFor('acknowledged', () => agent.acks().at(-1)?.through === 3n);
  const refused = agent.acks().flatMap((ack) => ack.refused);
  const violations = refused.map(({ sequence, status: said }) => [
    sequence,
    said?.details.flatMap(({ typeUrl, value }) =>
      typeUrl.endsWith('BadRequest')
        ? BadRequest.decode(value).fieldViolations.map(({ field, description }) => [
            field,
            description,
          ])
        : [],
    ),
  ]);
  expect(violations).toEqual([
    [1n, [['raw.capability', expect.stringMatching(/absent.*present, as hello said/)]]],
    [2n, [['raw.arch', expect.stringMatching(/arm64.*x86_64, as hello said/)]]],
  ]);
  expect(watcher.told()).toHaveLength(1);
});

test('events that hello announced and that never come hold up what its state tells only for a while', async () => {
  const { server, watcher } = await rig({ reconcileMs: 200 });
  const agent = open(server);
  agent.answering(() => HELLO.guest ?? GUEST);
  await agent.hello({ unacknowledgedEvents: 2 });
  await watcher.connected();
  await watcher.driver.inspect(new AbortController().signal);
  expect(watcher.told()).toEqual([]);
  expect((await watcher.event('CRASH')).report).toMatchObject({ reconciled: true });
  // One that comes all the same, later, is told too: it is the engine that knows both for one death.
  agent.events(eventWith({ sequence: 1n }));
  await waitFor('acknowledged', () => agent.acks().at(-1)?.through === 1n);
  expect(watcher.told()).toHaveLength(2);
});

test('announced events that come in time explain the state: nothing is made out of it', async () => {
  const { server, watcher } = await rig({ reconcileMs: 60_000 });
  const agent = open(server);
  agent.answering(() => HELLO.guest ?? GUEST);
  await agent.hello({ unacknowledgedEvents: 1 });
  agent.events(eventWith({ sequence: 1n }));
  await waitFor('acknowledged', () => agent.acks().at(-1)?.through === 1n);
  await watcher.driver.inspect(new AbortController().signal);
  expect(watcher.told()).toEqual(['CRASH unknown panic']);
});
