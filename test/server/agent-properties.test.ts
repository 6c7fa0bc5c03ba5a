import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type AgentEvent,
  AgentGuest,
  AgentGuestState,
  AgentOutcomeKind,
  AgentOutcomeVerdict,
  AgentProgress,
  AgentServiceClient,
  AgentServiceService,
  AgentTookOver,
  type AgentVerb,
  type AttachRequest,
} from '../../src/gen/vmwarden/v1/agent_service.js';
import {
  Capability,
  EventType,
  type Initiator,
  RawEvent,
} from '../../src/gen/vmwarden/v1/system_event.js';
import { createAgents } from '../../src/vmm/agent/desk.js';
import type { AgentDesk } from '../../src/vmm/attach.js';
import { agentVm } from '../support/agent-rig.js';
import { silentLog, startTestServer } from '../support/grpc-server.js';
import { watchWith } from '../support/qemu-rig.js';
import { waitFor } from '../support/wait-for.js';
import { eventWith, HELLO, openAgent, type WireAgent } from '../support/wire-agent.js';

// Agents that say anything in any order, on streams that come and go, while steps are asked for. After each of them the
// next agent is served, and no stream and no attachment is left.

const STREAMS = 3;
const STEP_MS = 150;

/** How a stream may end, as docs/agents.md tells; `hello` ones are told before an agent is taken in. */
const ENDS: Readonly<Record<string, status>> = {
  INVALID_FIELDS: status.INVALID_ARGUMENT,
  EMPTY_MESSAGE: status.INVALID_ARGUMENT,
  BATCH_TOO_LARGE: status.INVALID_ARGUMENT,
  HELLO_TWICE: status.FAILED_PRECONDITION,
  HELLO_EXPECTED: status.FAILED_PRECONDITION,
  VERSION_UNSUPPORTED: status.FAILED_PRECONDITION,
  EVENT_GAP: status.FAILED_PRECONDITION,
  UID_MISMATCH: status.FAILED_PRECONDITION,
  VM_UNKNOWN: status.NOT_FOUND,
  AGENT_ATTACHED: status.ALREADY_EXISTS,
  AGENT_REPLACED: status.ABORTED,
  AGENT_SILENT: status.DEADLINE_EXCEEDED,
};

type Message = AttachRequest['message'];
type Word =
  | {
      readonly kind: 'say';
      readonly stream: number;
      /** Says hello before, on a stream of its own. */
      readonly greet: boolean;
      readonly message: Message;
    }
  /** An outcome of the n-th step that any stream was asked for. */
  | { readonly kind: 'answer'; readonly stream: number; readonly nth: number; how: number }
  | { readonly kind: 'act'; readonly verb: 'restart' | 'powerOff' | 'pause' }
  | { readonly kind: 'leave'; readonly stream: number; readonly politely: boolean };

const bootId = fc.constantFrom('boot-1', 'boot-1', 'boot-2', '', 'x'.repeat(200));
const boots = fc.constantFrom(0n, 1n, 1n, 2n, 3n, 2n ** 32n, 2n ** 63n);
const state = fc.constantFrom(...states());
const guest = fc
  .record({ state, bootId, boots, inspectId: fc.constantFrom(0n, 1n, 2n, 3n, 2n ** 64n - 1n) })
  .map((fields) => AgentGuest.fromPartial(fields));
const goodGuest = fc
  .record({
    state: fc.constantFrom(AgentGuestState.RUNNING, AgentGuestState.PANICKED),
    bootId: fc.constantFrom('boot-1', 'boot-2'),
    boots: fc.constantFrom(1n, 2n, 3n),
    inspectId: fc.constantFrom(0n, 1n, 2n, 3n),
  })
  .map((fields) => AgentGuest.fromPartial(fields));

const hello = fc
  .record({
    instance: fc.constantFrom('one', 'one', 'one', 'two', ''),
    vmId: fc.constantFrom('vm', 'vm', 'vm', 'vm', 'nobody', 'a b'),
    vmUid: fc.constantFrom('', 'right', 'right', 'wrong'),
    versions: fc.constantFrom<number[]>([1], [1], [1, 2], [7], []),
    capability: fc.constantFrom(0, Capability.PRESENT, Capability.ABSENT, 99),
    guest: fc.oneof({ weight: 4, arbitrary: goodGuest }, guest, fc.constant(undefined)),
    unacknowledgedEvents: fc.constantFrom(0, 0, 3, 2 ** 32 - 1),
    takeOver: fc.boolean(),
    verbs: fc.subarray([1, 2, 3, 4, 99] as AgentVerb[]),
  })
  .map((changes) => ({ $case: 'hello' as const, value: { ...HELLO, ...changes } }));
const goodHello = goodGuest.map((one) => ({
  $case: 'hello' as const,
  value: { ...HELLO, guest: one },
}));

const raw = fc
  .record({
    capability: fc.constantFrom(0, Capability.PRESENT, Capability.ABSENT),
    arch: fc.constantFrom('', 'x86_64', 'arm64', 'z80'),
    record: fc.uint8Array({ maxLength: 160 }),
  })
  .map(({ record, ...rest }) => ({
    $case: 'raw' as const,
    value: {
      ...RawEvent.create(),
      ...rest,
      form: { $case: 'bytes' as const, value: { record: Buffer.from(record), byteOrder: 1 } },
    },
  }));
const vmm = fc.constantFrom(0, EventType.CRASH, EventType.RESET, EventType.VMM_EXITED, 77);
const event = fc
  .record({
    sequence: fc.constantFrom(0n, 1n, 2n, 3n, 4n, 5n, 9n, 2n ** 64n - 1n),
    bootId,
    boots,
    state: fc.constantFrom(0, ...states()),
    event: fc.oneof(
      raw,
      vmm.map((type) => {
        const made = eventWith().event;
        return made?.$case === 'vmm' ? { ...made, value: { ...made.value, type } } : undefined;
      }),
      fc.constant(undefined),
    ),
    initiator: fc.constantFrom(0, 1, 4, 42 as Initiator),
  })
  .map((fields): AgentEvent => ({ ...eventWith(), ...fields }));
const orderly = fc
  .integer({ min: 1, max: 70 })
  .map((count) =>
    Array.from({ length: count }, (_, at) => eventWith({ sequence: BigInt(at + 1) })),
  );

const message: fc.Arbitrary<Message> = fc.oneof(
  { weight: 4, arbitrary: goodHello },
  { weight: 2, arbitrary: hello },
  {
    weight: 3,
    arbitrary: fc
      .oneof(orderly, fc.array(event, { maxLength: 5 }))
      .map((events) => ({ $case: 'events' as const, value: { events } })),
  },
  { weight: 4, arbitrary: goodGuest.map((value) => ({ $case: 'guest' as const, value })) },
  { weight: 1, arbitrary: guest.map((value) => ({ $case: 'guest' as const, value })) },
  {
    weight: 1,
    arbitrary: fc
      .record({ stepId: fc.constantFrom('step-0', 'nobody’s', ''), doneBytes: fc.bigInt(0n, 9n) })
      .map((value) => ({ $case: 'progress' as const, value: AgentProgress.fromPartial(value) })),
  },
  {
    weight: 1,
    arbitrary: fc
      .record({ revision: fc.constantFrom(0n, 1n, 2n, 2n ** 64n - 1n), problem: fc.string() })
      .map((value) => ({ $case: 'tookOver' as const, value: AgentTookOver.fromPartial(value) })),
  },
  { weight: 1, arbitrary: fc.constant(undefined) },
);

const stream = fc.nat({ max: STREAMS - 1 });
const word: fc.Arbitrary<Word> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('say' as const),
      stream,
      greet: fc.constantFrom(true, true, true, false),
      message,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('answer' as const),
      stream,
      nth: fc.nat({ max: 3 }),
      how: fc.nat({ max: 7 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('act' as const),
      verb: fc.constantFrom('restart' as const, 'powerOff' as const, 'pause' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('leave' as const),
      stream,
      politely: fc.boolean(),
    }),
  },
);

/** A desk that counts who is attached. */
const counting = (desk: AgentDesk): AgentDesk & { attached(): number } => {
  let attached = 0;
  return {
    size: desk.size,
    release: (signal) => desk.release(signal),
    attached: () => attached,
    attach: (helloOf, link) => {
      const attachment = desk.attach(helloOf, link);
      attached += 1;
      let counted = true;
      return {
        take: (said) => attachment.take(said),
        gone: (reason) => {
          if (counted) attached -= 1;
          counted = false;
          attachment.gone(reason);
        },
      };
    },
  };
};

const rig = async () => {
  const vm = agentVm('vm', { uid: 'right' });
  const agents = createAgents([vm], silentLog, { answerTimeoutMs: 40 });
  const watcher = watchWith(agents.driver(vm));
  const desk = counting(agents);
  const ends: string[] = [];
  const server = await startTestServer({
    agents: desk,
    agentLimits: { helloTimeoutMs: 5_000 },
    callerLimits: { callsPerSecond: 100_000, callsAtOnce: 100_000 },
    onCall: (path, code) => {
      if (path === AgentServiceService.attach.path) ends.push(code);
    },
  });
  const client = server.client(AgentServiceClient);
  return { server, client, watcher, desk, ends };
};

test('whatever agents say in whatever order, each gets its status or verdict, and no step twice', async () => {
  const { server, client, watcher, desk, ends } = await rig();
  let opened = 0;
  let acts = 0;
  const seen = {
    ends: new Set<string>(),
    outcomes: new Set<string>(),
    verdicts: new Set<number>(),
  };

  const run = async (words: readonly Word[]): Promise<void> => {
    const streams: { agent: WireAgent; left: boolean; answered: number }[] = [];
    const open = (): void => {
      opened += 1;
      const agent = openAgent(client);
      // Every other one answers; the rest are asked in vain.
      if (opened % 2 === 0) agent.answering(() => HELLO.guest as AgentGuest);
      streams.push({ agent, left: false, answered: 0 });
    };
    const present = (at: number, greet = false) => {
      // Who was told the end comes again, as agents do.
      const mine = streams.filter((_, index) => index % STREAMS === at);
      const last = mine.at(-1);
      if (last !== undefined && !last.left && !last.agent.isOver()) return last;
      while (streams.length % STREAMS !== at) open();
      open();
      if (greet) streams.at(-1)?.agent.send({ $case: 'hello', value: HELLO });
      return streams.at(-1);
    };
    const asked = () => streams.flatMap(({ agent }) => agent.steps());
    const outcomes: Promise<string>[] = [];
    for (const one of words) {
      switch (one.kind) {
        case 'say':
          present(one.stream, one.greet)?.agent.send(one.message);
          break;
        case 'answer': {
          const to = present(one.stream, true);
          to?.agent.outcome(asked()[one.nth]?.id ?? `unasked-${one.nth}`, one.how);
          if (to !== undefined) to.answered += 1;
          break;
        }
        case 'act': {
          const id = `step-${acts}`;
          acts += 1;
          const act = watcher.act({ id, timeoutMs: STEP_MS });
          outcomes.push(watcher.driver[one.verb](act).then(({ kind }) => kind));
          break;
        }
        case 'leave': {
          const to = present(one.stream);
          if (to === undefined) break;
          to.left = true;
          if (one.politely) to.agent.call.end();
          else to.agent.call.cancel();
        }
      }
      // So that some of it is heard before the next is said.
      await new Promise((resolve) => setImmediate(resolve));
    }
    for (const kind of await Promise.all(outcomes)) seen.outcomes.add(kind);
    for (const { agent } of streams) agent.call.end();
    for (const { agent, left, answered } of streams) {
      const end = await agent.ended;
      seen.ends.add(end.reason || (status[end.code] ?? ''));
      if (end.reason !== '') expect(end.code, end.reason).toBe(ENDS[end.reason]);
      else expect([status.OK, ...(left ? [status.CANCELLED] : [])]).toContain(end.code);
      const verdicts = agent.verdicts();
      for (const verdict of verdicts) seen.verdicts.add(verdict);
      if (end.code === status.OK && agent.kinds().includes('welcome')) {
        expect(verdicts).toHaveLength(answered);
      }
      // On one stream a step is asked for once, and what was said of it last stands.
      const ids = agent.steps().map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
    }
    // On another it is asked for again by the same id, and for the same boot.
    const boot = new Map<string, string>();
    for (const { id, bootId: of, boots: nth } of asked()) {
      expect(boot.get(id) ?? `${of} ${nth}`).toBe(`${of} ${nth}`);
      boot.set(id, `${of} ${nth}`);
    }
    await waitFor('each stream has ended here too', () => ends.length === opened);
    expect(desk.attached()).toBe(0);
    await nextIsServed();
  };

  /** The next agent, of another instance: its events are taken and its step is asked for and proven. */
  const nextIsServed = async (): Promise<void> => {
    opened += 1;
    const agent = openAgent(client);
    const now = { ...HELLO.guest, bootId: `next-${opened}`, boots: 1n } as AgentGuest;
    let guestNow = now;
    agent.answering(() => guestNow);
    agent.call.on('data', ({ message: said }) => {
      if (said?.$case !== 'step') return;
      guestNow = AgentGuest.fromPartial({ ...now, state: AgentGuestState.RUNNING, boots: 2n });
      agent.send({ $case: 'guest', value: guestNow });
      agent.outcome(said.value.id, AgentOutcomeKind.APPLIED);
    });
    await agent.hello({ instance: `next-${opened}`, guest: now });
    agent.events(eventWith({ bootId: now.bootId }));
    await waitFor('acknowledged', () => agent.acks().at(-1)?.through === 1n);
    acts += 1;
    const outcome = await watcher.driver.restart(watcher.act({ id: `step-${acts}` }));
    expect(outcome).toMatchObject({ kind: 'applied' });
    agent.call.end();
    expect((await agent.ended).code).toBe(status.OK);
    await waitFor('it has ended here too', () => ends.length === opened);
    expect(desk.attached()).toBe(0);
  };

  await fc.assert(fc.asyncProperty(fc.array(word, { minLength: 3, maxLength: 30 }), run), {
    numRuns: 60,
    endOnFailure: true,
  });
  // Else the generator has lost its teeth.
  expect([...seen.ends]).toEqual(
    expect.arrayContaining(['OK', 'HELLO_TWICE', 'AGENT_REPLACED', 'INVALID_FIELDS']),
  );
  expect([...seen.verdicts]).toContain(AgentOutcomeVerdict.UNKNOWN_STEP);
  // As many streams at once as there are places: none was lost.
  const clients = [client, server.client(AgentServiceClient), server.client(AgentServiceClient)];
  const all = Array.from({ length: 65 }, (_, at) => openAgent(clients[at % 3] ?? client));
  await new Promise((resolve) => setImmediate(resolve));
  for (const agent of all) agent.send({ $case: 'hello', value: { ...HELLO, versions: [7] } });
  for (const agent of all) expect((await agent.ended).reason).toBe('VERSION_UNSUPPORTED');
}, 120_000);

function states(): AgentGuestState[] {
  return Object.values(AgentGuestState).filter(
    (one): one is AgentGuestState => typeof one === 'number' && one > 0,
  );
}
