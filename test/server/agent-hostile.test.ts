import { credentials, makeGenericClientConstructor, status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import {
  type AgentEvent,
  AgentGuest,
  AgentGuestState,
  AgentOutcome,
  AgentOutcomeKind,
  AgentOutcomeVerdict,
  AgentServiceClient,
  AgentServiceService,
  AgentVerb,
  AttachRequest,
} from '../../src/gen/vmwarden/v1/agent_service.js';
import { createAgents } from '../../src/vmm/agent/desk.js';
import type { Tuning } from '../../src/vmm/agent/tuning.js';
import { agentVm } from '../support/agent-rig.js';
import { silentLog, startTestServer, type TestServer } from '../support/grpc-server.js';
import { vmConfig, watchWith } from '../support/qemu-rig.js';
import { waitFor } from '../support/wait-for.js';
import { eventWith, GUEST, helloWith, openAgent } from '../support/wire-agent.js';

// Agents that do wrong, over the wire: each gets a precise status or verdict, and the VM's driver an outcome.

const rig = async (tuning: Partial<Tuning> = {}) => {
  const vm = agentVm('vm', { uid: 'right' });
  const agents = createAgents([vm, { ...vmConfig('/run/x'), id: 'other' }], silentLog, tuning);
  const watcher = watchWith(agents.driver(vm));
  const server = await startTestServer({ agents, agentLimits: { helloTimeoutMs: 500 } });
  return { server, watcher };
};

const open = (server: TestServer) => openAgent(server.client(AgentServiceClient));

test.each<[string, AttachRequest['message'], { code: status; reason: string; fields?: string[] }]>([
  [
    'an event first',
    { $case: 'events', value: { events: [] } },
    { code: status.FAILED_PRECONDITION, reason: 'HELLO_EXPECTED' },
  ],
  ['an empty message', undefined, { code: status.FAILED_PRECONDITION, reason: 'HELLO_EXPECTED' }],
  [
    'no common version',
    helloWith({ versions: [7] }),
    { code: status.FAILED_PRECONDITION, reason: 'VERSION_UNSUPPORTED' },
  ],
  [
    'an unknown VM',
    helloWith({ vmId: 'nobody' }),
    { code: status.NOT_FOUND, reason: 'VM_UNKNOWN' },
  ],
  [
    'a VM of QEMU’s',
    helloWith({ vmId: 'other' }),
    { code: status.FAILED_PRECONDITION, reason: 'NOT_AGENT_DRIVEN' },
  ],
  [
    'another uid',
    helloWith({ vmUid: 'wrong' }),
    { code: status.FAILED_PRECONDITION, reason: 'UID_MISMATCH' },
  ],
  [
    'a bad hello',
    helloWith({ vmId: 'a b', instance: '', versions: [], guest: undefined }),
    {
      code: status.INVALID_ARGUMENT,
      reason: 'INVALID_FIELDS',
      fields: ['hello.vm_id', 'hello.instance', 'hello.versions', 'hello.guest'],
    },
  ],
])('%s is refused', async (_what, message, expected) => {
  const { server } = await rig();
  const agent = open(server);
  agent.send(message);
  expect(await agent.ended).toMatchObject(expected);
});

test('who opens a stream and says nothing is told so', async () => {
  const { server } = await rig();
  expect(await open(server).ended).toMatchObject({
    code: status.DEADLINE_EXCEEDED,
    reason: 'HELLO_EXPECTED',
  });
});

test('a second agent is told why not; the same one takes its own place', async () => {
  const { server } = await rig();
  const first = open(server);
  await first.hello();
  const second = open(server);
  second.send(helloWith({ instance: 'two' }));
  expect(await second.ended).toMatchObject({
    code: status.ALREADY_EXISTS,
    reason: 'AGENT_ATTACHED',
  });
  const again = open(server);
  await again.hello();
  expect(await first.ended).toMatchObject({ code: status.ABORTED, reason: 'AGENT_REPLACED' });
});

test('what breaks the protocol ends the stream', async () => {
  const { server } = await rig();
  const events = (values: AgentEvent[]) => ({
    $case: 'events' as const,
    value: { events: values },
  });
  const cases: [AttachRequest['message'], string][] = [
    [helloWith({}), 'HELLO_TWICE'],
    [undefined, 'EMPTY_MESSAGE'],
    [
      events(Array.from({ length: 65 }, (_, at) => eventWith({ sequence: BigInt(at + 1) }))),
      'BATCH_TOO_LARGE',
    ],
    [events([eventWith({ sequence: 0n })]), 'INVALID_FIELDS'],
    [events([eventWith({ sequence: 1n }), eventWith({ sequence: 3n })]), 'EVENT_GAP'],
    [{ $case: 'guest', value: AgentGuest.fromPartial({}) }, 'INVALID_FIELDS'],
    [{ $case: 'outcome', value: AgentOutcome.fromPartial({}) }, 'INVALID_FIELDS'],
  ];
  for (const [message, reason] of cases) {
    const agent = open(server);
    await agent.hello({ instance: reason });
    agent.send(message);
    expect((await agent.ended).reason).toBe(reason);
  }
});

test('events that can’t be taken are refused by number, and the stream lives', async () => {
  const { server, watcher } = await rig();
  const agent = open(server);
  await agent.hello();
  agent.send({
    $case: 'events',
    value: {
      events: [
        eventWith({ sequence: 1n, bootId: '' }),
        eventWith({ sequence: 2n, event: undefined }),
        eventWith({ sequence: 3n, bootId: 'an older one' }),
        eventWith({ sequence: 4n }),
      ],
    },
  });
  await waitFor('acknowledged', () => agent.acks().at(-1)?.through === 4n);
  const refused = agent.acks().flatMap(({ refused: some }) => some);
  expect(refused.map(({ sequence, status: said }) => [sequence, said?.code])).toEqual([
    [1n, status.INVALID_ARGUMENT],
    [2n, status.INVALID_ARGUMENT],
  ]);
  const told = watcher.sightings.flatMap((one) => (one.kind === 'event' ? [one] : []));
  // The reconciled one of hello's state is the first.
  expect(told.slice(1).map(({ earlier, boots }) => [earlier, boots])).toEqual([
    [true, 0],
    [false, 1],
  ]);
});

test('an agent that lies is not believed; what is late, twice or unknown gets its verdict', async () => {
  const { server, watcher } = await rig();
  const agent = open(server);
  agent.answering(() => GUEST);
  await agent.hello();
  await watcher.connected();
  const say = (stepId: string, kind: AgentOutcomeKind, proof: string[] = []) =>
    agent.send({ $case: 'outcome', value: AgentOutcome.fromPartial({ stepId, kind, proof }) });

  const lied = watcher.driver.restart(watcher.act({ id: 'lie' }));
  await waitFor('a step', () => agent.steps().length === 1);
  say('lie', AgentOutcomeKind.APPLIED, ['done']);
  expect(await lied).toMatchObject({ kind: 'unverified', reason: 'NOT_PROVEN' });
  say('lie', AgentOutcomeKind.APPLIED, ['done']);
  say('lie', AgentOutcomeKind.FAILED);
  say('nobody asked', AgentOutcomeKind.APPLIED);

  const slow = await watcher.driver.restart(watcher.act({ id: 'slow', timeoutMs: 200 }));
  expect(slow).toMatchObject({ kind: 'unverified', reason: 'DEADLINE_EXCEEDED' });
  say('slow', AgentOutcomeKind.APPLIED);
  await waitFor('verdicts', () => agent.verdicts().length === 5);
  expect(agent.verdicts()).toEqual([
    AgentOutcomeVerdict.TAKEN,
    AgentOutcomeVerdict.REPEATED,
    AgentOutcomeVerdict.CONFLICTING,
    AgentOutcomeVerdict.UNKNOWN_STEP,
    AgentOutcomeVerdict.LATE,
  ]);
  expect(agent.kinds()).toContain('cancelStep');
  expect(await watcher.driver.dump({ ...watcher.act(), path: '/nowhere' })).toMatchObject({
    kind: 'unsupported',
    reason: 'AGENT_CANNOT',
  });
});

test.each([
  { what: 'may have restarted a guest that runs', state: AgentGuestState.RUNNING, again: false },
  { what: 'finds the guest still waiting', state: AgentGuestState.PANICKED, again: true },
])('an agent without its memory that $what: asked again is $again', async ({ state, again }) => {
  const { server, watcher } = await rig();
  const guest = { ...GUEST, state, word: '' };
  const first = open(server);
  first.answering(() => guest);
  await first.hello({ guest });
  await watcher.connected();
  const cause = { boots: 1, resumed: false };
  const restarted = watcher.driver.restart(watcher.act({ id: 'once', timeoutMs: 5000, cause }));
  await waitFor('the step', () => first.steps().length === 1);
  first.call.cancel();
  await watcher.disconnected();

  const other = open(server);
  other.answering(() => guest);
  await other.hello({ guest, instance: 'two' });
  if (again) {
    await waitFor('the step again', () => other.steps().length === 1);
    expect(other.steps()[0]?.id).toBe('once');
    return;
  }
  expect(await restarted).toMatchObject({ kind: 'unverified', reason: 'AGENT_FORGOT' });
  expect(other.steps()).toEqual([]);
});

test('an agent that comes back is not asked for what it no longer names', async () => {
  const { server, watcher } = await rig();
  const first = open(server);
  first.answering(() => GUEST);
  await first.hello();
  await watcher.connected();
  const restarted = watcher.driver.restart(watcher.act({ id: 'gone', timeoutMs: 5000 }));
  await waitFor('the step', () => first.steps().length === 1);
  const again = open(server);
  again.answering(() => GUEST);
  await again.hello({ verbs: [AgentVerb.PAUSE] });
  expect(await restarted).toMatchObject({ kind: 'unverified', reason: 'AGENT_CANNOT' });
  expect(again.steps()).toEqual([]);
});

test('an agent that hangs ends in an outcome, and its stream in a status', async () => {
  const { server, watcher } = await rig({ answerTimeoutMs: 50 });
  const agent = open(server);
  await agent.hello();
  await watcher.connected();
  for (let asked = 0; asked < 3; asked += 1) {
    expect(await watcher.driver.restart(watcher.act())).toMatchObject({
      kind: 'failed',
      reason: 'VMM_SILENT',
    });
  }
  expect(await agent.ended).toMatchObject({
    code: status.DEADLINE_EXCEEDED,
    reason: 'AGENT_SILENT',
  });
  await watcher.disconnected();
  expect(await watcher.driver.restart(watcher.act())).toMatchObject({
    kind: 'failed',
    reason: 'NOT_CONNECTED',
  });
});

test('any bytes, first or later, get a status, and the next agent is served', async () => {
  const { server } = await rig();
  const Raw = makeGenericClientConstructor({}, 'raw');
  const client = new Raw(server.running.address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
  });
  onTestFinished(() => client.close());
  const same = (bytes: Buffer) => bytes;
  const first = Buffer.from(AttachRequest.encode({ message: helloWith({}) }).finish());
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((array) => Buffer.from(array));
  await fc.assert(
    fc.asyncProperty(bytes, fc.boolean(), async (garbage, later) => {
      const call = client.makeBidiStreamRequest(AgentServiceService.attach.path, same, same);
      const code = new Promise<status>((resolve) => {
        call.on('error', () => undefined);
        call.on('data', () => undefined);
        call.on('status', (said) => resolve(said.code));
      });
      if (later) call.write(first);
      call.write(garbage);
      call.end();
      expect([status.UNKNOWN, status.INTERNAL]).not.toContain(await code);
    }),
    { numRuns: 100 },
  );
  const agent = open(server);
  await agent.hello({ instance: 'after' });
});
