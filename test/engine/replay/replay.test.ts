import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type SimulationOptions, simulate } from '../../../src/engine/replay/simulate.js';
import {
  type SimulatePolicyResponse,
  SimulationDetail,
  type SimulationSummary,
} from '../../../src/gen/vmwarden/v1/policy_service.js';
import { Decision, Record } from '../../../src/gen/vmwarden/v1/record.js';
import type { Journal } from '../../../src/journal/journal.js';
import { MemoryJournal } from '../../../src/journal/memory-journal.js';
import type { Policy } from '../../../src/policy/policy.js';
import { policyOf } from '../../support/engine-bench.js';
import { happenings, journalOf } from '../../support/engine-traffic.js';

const POLICY = `
apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: traffic }
spec:
  mode: enforce
  budgets:
    crash:
      limits: [{ attempts: 3, within: 1h }, { attempts: 5, within: 24h }]
      delay: { base: 5ms, factor: 2, max: 20ms, jitter: 0.5 }
    error: { limits: [{ attempts: 1, within: 10m }] }
  rules:
    - { name: crashed, on: [CRASH, WATCHDOG], do: [dump, { restart: { retries: 1 } }], budget: crash, exhausted: [powerOff, hold] }
    - { name: broken, on: [VMM_ERROR], do: [restart], budget: error, exhausted: [hold] }
    - { name: gone, on: [SHUTDOWN], do: [powerOff] }
    - { name: slept, on: [SUSPEND], do: [resume, dump] }
`;

/** More by hand. */
const RUNS = Number(process.env['REPLAY_RUNS'] ?? 30);

/** All that a policy can say of waiting, of other VMs, and of what came before. */
const WHOLE = `
apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: whole }
spec:
  mode: enforce
  safety:
    storm: { vms: 2, within: 5s, quiet: 20s }
    concurrent: { restarts: 1, dumps: 1 }
  budgets:
    crash: { limits: [{ attempts: 4, within: 1h }], delay: { base: 5ms, max: 20ms } }
  rules:
    - { name: dumps itself, on: [CRASH_LOADED], do: [{ await: { event: RESET, timeout: 1s, otherwise: [dump, restart] } }], budget: crash, exhausted: [hold] }
    - { name: scratch, on: [CRASH], vms: { matchLabels: { tier: scratch } }, do: [powerOff] }
    - { name: loop, on: [RESET], when: 'vm.count(RESET, duration("10m")) > 2', do: [hold] }
    - { name: crashed, on: [CRASH, WATCHDOG], do: [dump, restart], budget: crash, exhausted: [powerOff, hold] }
    - { name: broken, on: [VMM_ERROR], do: [{ restart: { in: process } }] }
`;

const run = async (
  journal: Journal,
  policy: Policy,
  over: Partial<SimulationOptions> = {},
): Promise<{ messages: SimulatePolicyResponse[]; summary: SimulationSummary }> => {
  const messages: SimulatePolicyResponse[] = [];
  const options: SimulationOptions = {
    policy,
    base: null,
    sinceMs: null,
    detail: SimulationDetail.DECISIONS,
    vmIds: [],
    breathe: async () => undefined,
    ...over,
  };
  for await (const message of simulate(journal, options)) messages.push(message);
  const last = messages.at(-1)?.message;
  if (last?.$case !== 'summary') throw new Error('no summary');
  return { messages, summary: last.value };
};

const taken = async (journal: Journal): Promise<string[]> => {
  const { records } = await journal.read({ after: 0, limit: 100_000, maxBytes: 1e9 });
  return records.flatMap(({ bytes }) => {
    const { vmId, incidentId, body } = Record.decode(bytes);
    return body?.$case === 'decision' ? [line(vmId, incidentId, body.value)] : [];
  });
};

const line = (vm: string, incident: string, decision: Decision): string =>
  `${vm} ${incident} ${JSON.stringify(Decision.toJSON(decision))}`;

const simulatedLines = (messages: readonly SimulatePolicyResponse[]): string[] =>
  messages.flatMap(({ message }) =>
    message?.$case === 'decision' && message.value.decision !== undefined
      ? [line(message.value.vmId, message.value.incidentId, message.value.decision)]
      : [],
  );

it('decides a recorded journal exactly as it was decided live', async () => {
  await fc.assert(
    fc.asyncProperty(happenings, fc.constantFrom(POLICY, WHOLE), async (all, yaml) => {
      const policy = policyOf(yaml);
      const journal = await journalOf(policy, all);
      const { messages, summary } = await run(journal, policy);
      expect(simulatedLines(messages)).toEqual(await taken(journal));
      expect(summary).toMatchObject({ different: 0n, assumedOutcomes: 0n });
    }),
    { numRuns: RUNS },
  );
}, 120_000);

it('takes the labels that no decision has told from the configuration', async () => {
  const journal = await journalOf(policyOf(WHOLE), [
    { kind: 'settle' },
    { kind: 'panic', vm: 1 },
    { kind: 'quiet' },
  ]);
  const { records } = await journal.read({ after: 0, limit: 1_000 });
  const untold = new MemoryJournal();
  for (const { bytes } of records) {
    const record = Record.decode(bytes);
    if (record.body?.$case === 'decision') record.body.value.inputs = undefined;
    const stored = { vm: record.vmId, bytes: Record.encode(record).finish() };
    await untold.append({ kind: 'ingest', records: [stored], rows: [] }).durable;
  }
  const rulesWith = async (labels: NonNullable<SimulationOptions['labels']>) => {
    const { messages } = await run(untold, policyOf(WHOLE), { labels });
    return messages.flatMap(({ message }) =>
      message?.$case === 'decision' ? [message.value.decision?.rule] : [],
    );
  };
  expect(await rulesWith(new Map())).toEqual(['crashed']);
  expect(await rulesWith(new Map([['vm-1', { tier: 'scratch' }]]))).toEqual(['scratch']);
});

const CRASH = { kind: 'panic', vm: 0 } as const;
const SETTLE = { kind: 'quiet' } as const;
const FAILS = { kind: 'answer', vm: 0, outcome: 'failed' } as const;
const HOLDS = policyOf(
  POLICY.replace(
    'do: [dump, { restart: { retries: 1 } }], budget: crash, exhausted: [powerOff, hold]',
    'do: [hold]',
  ),
);

const differencesOf = (messages: readonly SimulatePolicyResponse[]): string[] =>
  messages.flatMap(({ message }) => {
    if (message?.$case !== 'difference') return [];
    const { before, after, changed } = message.value;
    const plan = (one: typeof before): string =>
      one === undefined ? 'nothing' : (one.decision?.plan ?? []).map(({ verb }) => verb).join(', ');
    return [`${plan(before)} -> ${plan(after)}: ${changed.join(', ')}`];
  });

describe('under another policy', () => {
  it('assumes that steps which were not taken are applied, and says so', async () => {
    const journal = await journalOf(HOLDS, [CRASH, SETTLE]);
    const { messages, summary } = await run(journal, policyOf(POLICY));
    expect(differencesOf(messages)).toEqual(['hold -> dump, restart: plan']);
    expect(summary).toMatchObject({ recordedOutcomes: 0n, assumedOutcomes: 2n });
    expect(summary.rules[0]).toMatchObject({
      name: 'crashed',
      decisions: 1n,
      acted: 1n,
      steps: [
        { verb: 'dump', count: 1n },
        { verb: 'restart', count: 1n },
      ],
    });
    expect(summary.assumptions.join(' ')).toContain('2 steps that were not taken then');
  });

  it('takes the outcome that the same step had', async () => {
    const live = policyOf(POLICY.replace('{ restart: { retries: 1 } }', 'restart'));
    const journal = await journalOf(live, [FAILS, FAILS, CRASH, SETTLE]);
    const bare = policyOf(POLICY.replace('[dump, { restart: { retries: 1 } }]', '[restart, dump]'));
    const { summary } = await run(journal, bare);
    // The restart failed then, so it fails now and nothing follows.
    expect(summary).toMatchObject({ recordedOutcomes: 1n, assumedOutcomes: 0n });
    expect(summary.rules[0]?.steps).toEqual([{ verb: 'restart', count: 1n }]);
  });

  it('holds what it would have held, until the operator released it', async () => {
    const journal = await journalOf(policyOf(POLICY), [CRASH, SETTLE, CRASH, SETTLE]);
    const { messages, summary } = await run(journal, HOLDS);
    expect(differencesOf(messages)).toEqual([
      'dump, restart -> hold: plan',
      'dump, restart -> : plan, act, delay',
    ]);
    expect(summary.vms).toMatchObject([{ vmId: 'vm-0', held: true, decisions: 2n, acted: 1n }]);
  });

  it('waits as the policy says, and lets what comes meanwhile join', async () => {
    const slow = policyOf(POLICY.replace('base: 5ms, factor: 2, max: 20ms', 'base: 10m, max: 20m'));
    const all = [CRASH, SETTLE, CRASH, SETTLE, CRASH, SETTLE];
    const journal = await journalOf(policyOf(POLICY), all);
    const { messages, summary } = await run(journal, slow);
    expect(differencesOf(messages)).toContain('dump, restart -> dump, restart: delay');
    // The second attempt still waits as the journal ends.
    expect(summary.vms[0]?.incidentId).not.toBe('');
    expect(summary.rules[0]?.steps).toContainEqual({ verb: 'restart', count: 1n });
  });

  it('compares two policies without regard to what was decided', async () => {
    const journal = await journalOf(policyOf(POLICY), [CRASH, SETTLE]);
    const same = await run(journal, HOLDS, { base: HOLDS });
    expect(same.summary).toMatchObject({ same: 1n, different: 0n });
    const other = await run(journal, HOLDS, {
      base: policyOf(POLICY),
      detail: SimulationDetail.DIFFERENCES,
    });
    expect(differencesOf(other.messages)).toEqual(['dump, restart -> hold: plan']);
  });

  it('tells only of what came since, and of the VMs asked for, with budgets as they were by then', async () => {
    const all = [CRASH, SETTLE, CRASH, SETTLE, CRASH, SETTLE, CRASH, SETTLE];
    const journal = await journalOf(policyOf(POLICY), all);
    const { records } = await journal.read({ after: 0, limit: 1_000 });
    const events = records.filter(({ bytes }) => Record.decode(bytes).body?.$case === 'decision');
    const last = Record.decode(events.at(-1)?.bytes ?? new Uint8Array());
    const sinceMs = last.recordedAt?.getTime() ?? 0;
    const source = new Proxy(journal, {
      get: (target, name) => {
        if (name === 'newestBefore') return () => (events.at(-1)?.sequence ?? 0) - 2;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const { summary } = await run(source, policyOf(POLICY), { sinceMs });
    expect(summary).toMatchObject({ decisions: 1n, same: 1n });
    expect(summary.rules[0]).toMatchObject({ decisions: 1n, exhausted: 1n });
    const others = await run(journal, policyOf(POLICY), { vmIds: ['vm-2'] });
    expect(others.summary).toMatchObject({ decisions: 0n, events: 0n });
  });
});
