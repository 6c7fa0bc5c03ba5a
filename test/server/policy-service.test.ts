import { type ServiceError, status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import {
  type GetPolicyResponse,
  PolicyServiceClient,
  SimulatePolicyRequest,
  type SimulatePolicyResponse,
  type ValidatePolicyResponse,
} from '../../src/gen/vmwarden/v1/policy_service.js';
import { PolicyMode } from '../../src/gen/vmwarden/v1/record.js';
import type { Journal } from '../../src/journal/journal.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import { compileCondition } from '../../src/policy/condition.js';
import { DEFAULT_POLICY } from '../../src/policy/default-policy.js';
import { parsePolicy } from '../../src/policy/parse.js';
import { crashReport, policyOf } from '../support/engine-bench.js';
import { journalOf } from '../support/engine-traffic.js';
import { detailsOf, outcomeOf, startTestServer } from '../support/grpc-server.js';

const BROKEN = DEFAULT_POLICY.replace('mode: enforce', 'mode: on').replace('kind: E', 'kind: F');

const simulation = async (
  client: PolicyServiceClient,
  request: Partial<SimulatePolicyRequest>,
): Promise<{ messages: SimulatePolicyResponse[]; error: ServiceError | null }> => {
  const messages: SimulatePolicyResponse[] = [];
  try {
    const stream = client.simulatePolicy({ ...SimulatePolicyRequest.create(), ...request });
    for await (const message of stream) messages.push(message);
    return { messages, error: null };
  } catch (error) {
    return { messages, error: error as ServiceError };
  }
};

/** Reads nothing until it is let. */
const stuck = (): { journal: Journal; reads: () => number; go: () => void } => {
  let reads = 0;
  let go: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    go = resolve;
  });
  const memory = new MemoryJournal();
  void memory.append({ kind: 'ingest', records: [{ vm: 'a', bytes: new Uint8Array() }], rows: [] });
  const journal = new Proxy<Journal>(memory, {
    get: (target, name) => {
      if (name === 'read') {
        return async (query: Parameters<Journal['read']>[0]) => {
          reads += 1;
          await opened;
          return target.read(query);
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { journal, reads: () => reads, go };
};

test('GetPolicy tells what is in force, since when, and what is wrong with the file now', async () => {
  const parsed = parsePolicy(DEFAULT_POLICY, 'p.yaml', compileCondition);
  const broken = parsePolicy(BROKEN, 'p.yaml', compileCondition);
  if (!parsed.ok || broken.ok) throw new Error('not as expected');
  const server = await startTestServer({
    policies: {
      status: () => ({
        policy: parsed.policy,
        source: '/etc/vmwarden/policy.yaml',
        text: DEFAULT_POLICY,
        loadedAtMs: 1_000,
        warnings: [],
        broken: { atMs: 2_000, problems: broken.problems },
      }),
    },
  });
  const { response } = await outcomeOf<GetPolicyResponse>((callback) =>
    server.client(PolicyServiceClient).getPolicy({}, callback),
  );
  expect(response).toMatchObject({
    name: 'default',
    hash: parsed.policy.hash,
    mode: PolicyMode.ENFORCE,
    text: DEFAULT_POLICY,
    loadedAt: new Date(1_000),
    brokenAt: new Date(2_000),
    problems: [
      { id: 'VW-P013', path: 'kind' },
      { id: 'VW-P013', path: 'spec.mode' },
    ],
  });
});

test('ValidatePolicy answers with all problems, also of a text as large as they come', async () => {
  const server = await startTestServer();
  const client = server.client(PolicyServiceClient);
  const validate = (text: string) =>
    outcomeOf<ValidatePolicyResponse>((callback) => client.validatePolicy({ text }, callback));
  expect((await validate(DEFAULT_POLICY)).response).toMatchObject({ valid: true, name: 'default' });
  expect((await validate(BROKEN)).response).toMatchObject({
    valid: false,
    problems: [{ line: 6, column: 7 }, { id: 'VW-P013' }],
  });
  const large = `${DEFAULT_POLICY}# ${'x'.repeat(1_000_000)}\n`;
  expect((await validate(large)).response).toMatchObject({ valid: true });
});

test('SimulatePolicy streams progress, decisions and the summary', async () => {
  const policy = policyOf(DEFAULT_POLICY);
  const journal = await journalOf(policy, [{ kind: 'panic', vm: 0 }, { kind: 'quiet' }]);
  const server = await startTestServer({ journal });
  const { messages, error } = await simulation(server.client(PolicyServiceClient), {
    text: DEFAULT_POLICY,
    detail: 2,
  });
  expect(error).toBeNull();
  expect(messages.map(({ message }) => message?.$case)).toEqual(
    expect.arrayContaining(['decision', 'progress', 'summary']),
  );
  expect(messages.at(-1)?.message?.value).toMatchObject({ decisions: 1n, same: 1n, different: 0n });
});

test('a broken policy is refused with a violation for each problem', async () => {
  const server = await startTestServer();
  const { error } = await simulation(server.client(PolicyServiceClient), {
    text: DEFAULT_POLICY,
    baseText: BROKEN,
  });
  expect(error?.code).toBe(status.INVALID_ARGUMENT);
  expect(detailsOf(error).info?.reason).toBe('POLICY_BROKEN');
  expect(detailsOf(error).violations).toMatchObject([
    { field: 'base_text:6:7', description: expect.stringContaining('VW-P013') },
    { field: 'base_text:11:9' },
  ]);
  const wrong = await simulation(server.client(PolicyServiceClient), {
    text: DEFAULT_POLICY,
    vmIds: ['a b'],
  });
  expect(detailsOf(wrong.error).violations).toMatchObject([{ field: 'vm_ids[0]' }]);
});

test('one simulation runs at a time, ends with its caller, and holds up no report', async () => {
  const { journal, reads, go } = stuck();
  const server = await startTestServer({ journal });
  const client = server.client(PolicyServiceClient);
  const first = client.simulatePolicy({ ...SimulatePolicyRequest.create(), text: DEFAULT_POLICY });
  const ended = new Promise<ServiceError>((resolve) => first.once('error', resolve));
  await expect.poll(reads, { timeout: 10_000 }).toBe(1);
  const second = await simulation(client, { text: DEFAULT_POLICY });
  expect(second.error?.code).toBe(status.RESOURCE_EXHAUSTED);
  expect(detailsOf(second.error)).toMatchObject({ info: { reason: 'SIMULATION_RUNNING' } });
  await server.engine.report(crashReport());
  first.cancel();
  expect((await ended).code).toBe(status.CANCELLED);
  go();
  await expect
    .poll(async () => (await simulation(client, { text: DEFAULT_POLICY })).error, {
      timeout: 10_000,
    })
    .toBeNull();
});
