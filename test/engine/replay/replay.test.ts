import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type SimulationOptions, simulate } from '../../../src/engine/replay/simulate.js';
import {
  type SimulatePolicyResponse,
  SimulationDetail,
  type SimulationSummary,
} from '../../../src/gen/vmwarden/v1/policy_service.js';
import { Decision, Record } from '../../../src/gen/vmwarden/v1/record.js';
import type { Journal } from '../../../src/journal/journal.js';
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
    fc.asyncProperty(happenings, async (all) => {
      const policy = policyOf(POLICY);
      const journal = await journalOf(policy, all);
      const { messages, summary } = await run(journal, policy);
      const then = await taken(journal);
      const now = simulatedLines(messages);
      const off = then.findIndex((text, index) => text !== now[index]);
      if (off >= 0) console.log(off, then[off]?.slice(0, 500), '\nNOW', now[off]?.slice(0, 500), '\n', await dump(journal));
      expect({ off, length: now.length }).toEqual({ off: -1, length: then.length });
      expect(summary).toMatchObject({ different: 0n, assumedOutcomes: 0n });
    }),
    { numRuns: Number(process.env['RUNS'] ?? 40), ...(process.env['SEED'] && { seed: Number(process.env['SEED']) }) },
  );
}, 120_000);

const dump = async (journal: Journal): Promise<string> => {
  const { records } = await journal.read({ after: 0, limit: 100_000, maxBytes: 1e9 });
  return records.filter(({bytes}) => !JSON.stringify(Record.toJSON(Record.decode(bytes))).includes('WAKEUP')).map(({ sequence, bytes }) => {
    const r = Record.decode(bytes);
    const b = r.body;
    const what = b?.$case === 'event' ? `${b.value.event?.type} i${b.value.initiator} disp${b.value.disposition} epoch${b.value.bootEpoch} drv${b.value.fromDriver} boot${b.value.bootId} kept${b.value.keptUid} uid${b.value.vmUid}`
      : b?.$case === 'decision' ? `${b.value.eventSequence} ${b.value.rule} [${b.value.plan.map((s) => s.verb)}] oor${b.value.outOfReach}`
      : b?.$case === 'step' ? `${b.value.verb}#${b.value.index} s${b.value.state} n${b.value.attempt} ${b.value.reason} +${b.value.charged} -${b.value.refunded}`
      : b?.$case === 'vm' ? `${b.value.contact} ${b.value.state} ${b.value.bootId} cont${b.value.continuous} uid${b.value.uid}` : '';
    return `${sequence} ${r.vmId} ${r.incidentId} ${r.monotonicUs} ${b?.$case} ${what}`;
  }).join('\n');
};
