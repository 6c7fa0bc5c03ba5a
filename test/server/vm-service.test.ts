import { type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import type { RunningEngine } from '../../src/engine/create-engine.js';
import {
  ActOnVmRequest,
  type ActOnVmResponse,
  CancelActRequest,
  type CancelActResponse,
  type ExplainVmResponse,
  type GetHostResponse,
  type GetVmResponse,
  HoldVmRequest,
  type HoldVmResponse,
  ReleaseVmRequest,
  type ReleaseVmResponse,
  ResetBudgetRequest,
  VmServiceClient,
} from '../../src/gen/vmwarden/v1/vm_service.js';
import type { Outcome } from '../../src/vmm/driver.js';
import { type Bench, CRASH_POLICY, engineBench, policyOf } from '../support/engine-bench.js';
import { detailsOf, outcomeOf, startTestServer } from '../support/grpc-server.js';
import { ScriptedDriver } from '../support/scripted-driver.js';

const engines: RunningEngine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop(1000)));
});

const VM = 'web-1';
const BY = { actor: 'alice', reason: 'to see it boot' };

const policyWith = (rest: string) => `
apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: explained }
spec:
  mode: enforce
${rest}`;
const AWAIT_POLICY = policyWith(`
  rules:
    - name: let it dump
      on: [CRASH_LOADED]
      do: [{ await: { event: RESET, timeout: 10m, otherwise: [restart] } }]
`);
const ONE_AT_A_TIME = policyWith(`
  safety: { concurrent: { restarts: 1 } }
  rules:
    - { name: crashed, on: [CRASH], do: [restart] }
`);

/** A real engine on a scripted guest, behind a real server. */
const serve = async (policy = CRASH_POLICY, options: Parameters<typeof engineBench>[0] = {}) => {
  const made = await engineBench({ policy: policyOf(policy), ...options });
  engines.push(made.engine);
  await made.until('contact', () => made.engine.vm(VM).contact === 'connected');
  const labels = new Map([[VM, { tier: 'prod' }]]);
  const server = await startTestServer({ engine: made.engine, journal: made.journal, labels });
  const client = server.client(VmServiceClient);
  const explain = async (incidentId = '') => {
    const { error, response } = await outcomeOf<ExplainVmResponse>((callback) =>
      client.explainVm({ vmId: VM, incidentId }, callback),
    );
    if (error !== null) throw error;
    return response;
  };
  return { made, server, client, explain };
};

const settled = (made: Bench) =>
  made.until('the end of what is open', () => made.engine.vm(VM).incident === '');
const reasonOf = (error: ServiceError | null) => detailsOf(error).info?.reason;

describe('ExplainVm', () => {
  test('of a VM that nothing happened to', async () => {
    const { explain } = await serve();
    const { answer, vm, explanation } = await explain();
    expect(answer).toBe('Nothing has happened to this VM that needed an answer.');
    expect(vm).toMatchObject({ id: VM, labels: { tier: 'prod' } });
    expect(explanation).toMatchObject({ incidentId: '', steps: [] });
  });

  test('of a restart reads like an answer, with what it is made of', async () => {
    const { made, explain } = await serve();
    made.driver.panic();
    await made.until('the restart', () => made.driver.calls.includes('restart'));
    await settled(made);
    const { answer, explanation } = await explain();
    const line = made.policy.rules.find(({ name }) => name === 'crashed')?.line;
    expect(answer).toMatch(
      new RegExp(
        `^Restarted at 15:06:40 UTC by rule crashed, line ${line}, attempt 1 of 3 in 1 h; next attempt not before 15:06:50 UTC\\. Proof: restart seen\\. Before that: dump applied, /dumps/\\S+\\. The event: CRASH by guest at 15:06:40 UTC \\(record 3\\)\\.$`,
      ),
    );
    expect(explanation?.event?.sequence).toBe(3n);
    expect(explanation?.decision?.record?.body?.$case).toBe('decision');
    expect(explanation?.steps).toHaveLength(4);
    expect(explanation?.nextAttempt?.getTime()).toBeGreaterThan(made.clock.wallMs);
  });

  test('of a wait, its end, and a budget that is used up', async () => {
    const { made, explain } = await serve();
    for (const death of [1, 2, 3]) {
      made.driver.panic();
      if (death > 1) {
        await made.until('the wait', () => made.engine.vm(VM).phase === 'waiting');
        const { answer, explanation } = await explain();
        expect(answer).toMatch(
          /^Dump by rule crashed, line \d+, attempt [23] of 3 in 1 h waits; it starts not before 15:\d\d:\d\d UTC\. The event: CRASH/,
        );
        expect(explanation?.nextAttempt?.getTime()).toBe(made.engine.vm(VM).nextAttemptMs);
        made.clock.advance(600_000);
        await made.engine.setPolicy(made.policy, 'test');
      }
      const restarts = () => made.driver.calls.filter((call) => call === 'restart').length;
      await made.until('the restart', () => restarts() === death);
      await settled(made);
    }
    made.driver.panic();
    await made.until('the hold', () => made.engine.vm(VM).phase === 'held');
    const { answer } = await explain();
    expect(answer).toMatch(/budget crash used up \(3 of 3 in 1 h\)/);
    expect(answer).toMatch(/no attempt is left before 16:\d\d:\d\d UTC/);
    expect(answer).toMatch(/The VM is held since .*: rule crashed answered CRASH\./);
  });

  test('of an await, what it leads to, and a VMM out of contact', async () => {
    const { made, explain } = await serve(AWAIT_POLICY);
    made.driver.tell('CRASH_LOADED', 'guest');
    await made.until('the await', async () => (await made.story()).includes('step await started'));
    expect((await explain()).answer).toMatch(
      /^The guest is given time since 15:06:40 UTC by rule let it dump, line \d+: RESET is awaited until 15:16:40 UTC, else restart\. The event: CRASH_LOADED/,
    );
    made.driver.watch?.onSighting({ kind: 'disconnected', reason: 'gone' });
    await made.until('the loss', () => made.engine.vm(VM).contact === 'lost');
    made.clock.advance(700_000);
    await made.engine.setPolicy(made.policy, 'test');
    await made.until('its end', async () =>
      (await made.story()).some((line) => /^step await (?!started)/.test(line)),
    );
    expect((await explain()).answer).toMatch(
      /^Restart by rule let it dump, line \d+ waits for contact with its VMM\. Wait by rule let it dump/,
    );
  });

  test('of a restart that waits for the host', async () => {
    const other = new ScriptedDriver('web-2');
    const driver = new ScriptedDriver(VM);
    const { made, explain } = await serve(ONE_AT_A_TIME, {
      driver,
      vms: [
        { id: VM, uid: '', driver, takeOver: false },
        { id: 'web-2', uid: '', driver: other, takeOver: false },
      ],
    });
    let end: (outcome: Outcome) => void = () => undefined;
    other.answers.push(
      new Promise((resolve) => {
        end = resolve;
      }),
    );
    other.panic();
    await made.until('the other', () => other.calls.includes('restart'));
    driver.panic();
    await made.until('the wait', async () =>
      (await made.story()).includes('step restart waiting CONCURRENT'),
    );
    expect((await explain()).answer).toMatch(
      /^Restart by rule crashed, line \d+ waits since 15:06:40 UTC: as many as safety.concurrent allows are under way on this host\. The event/,
    );
    end({ kind: 'applied', proof: [], state: 'running' });
    await settled(made);
  });

  test('of what observe mode would have done', async () => {
    const { made, explain } = await serve(CRASH_POLICY.replace('enforce', 'observe'));
    made.driver.panic();
    await made.until('the decision', async () => (await made.story()).length === 2);
    expect((await explain()).answer).toMatch(
      /^Nothing was done; rule crashed, line \d+ would have answered dump, restart\./,
    );
  });

  test('of an operator’s act, a failure and a hold of the host', async () => {
    const { made, client, explain } = await serve();
    made.driver.answers.push({
      kind: 'failed',
      reason: 'VMM_SILENT',
      message: 'no word',
      proof: [],
    });
    const { response } = await outcomeOf<ActOnVmResponse>((callback) =>
      client.actOnVm(ActOnVmRequest.fromPartial({ vmId: VM, verb: 'dump', ...BY }), callback),
    );
    await settled(made);
    await made.engine.operators.holdHost({ actor: 'bob', reason: 'new kernel', requestId: '' });
    const { answer } = await explain(response.incidentId);
    expect(answer).toBe(
      'Dump by operator alice ended failed at 15:06:40 UTC (VMM_SILENT: no word). Asked for: dump by alice at 15:06:40 UTC: to see it boot. The host is held since 15:06:40 UTC by bob: new kernel.',
    );
  });

  test('of an incident or a VM that is not known', async () => {
    const { client } = await serve();
    const ask = async (vmId: string, incidentId: string) => {
      const { error } = await outcomeOf<ExplainVmResponse>((callback) =>
        client.explainVm({ vmId, incidentId }, callback),
      );
      return [error?.code, reasonOf(error)];
    };
    expect(await ask(VM, 'none-1')).toEqual([status.NOT_FOUND, 'INCIDENT_UNKNOWN']);
    expect(await ask('nobody', '')).toEqual([status.NOT_FOUND, 'VM_UNKNOWN']);
    expect(await ask('no/slash', '')).toEqual([status.INVALID_ARGUMENT, 'INVALID_FIELDS']);
  });
});

describe('operators over gRPC', () => {
  test('act, hold, release, and the host', async () => {
    const { made, client } = await serve();
    const acted = await outcomeOf<ActOnVmResponse>((callback) =>
      client.actOnVm(ActOnVmRequest.fromPartial({ vmId: VM, verb: 'restart', ...BY }), callback),
    );
    expect(acted.response).toMatchObject({ journalId: made.journal.id, repeat: false });
    await settled(made);
    expect(made.driver.boots).toBe(2);
    const held = await outcomeOf<HoldVmResponse>((callback) =>
      client.holdVm(HoldVmRequest.fromPartial({ vmId: VM, ...BY }), callback),
    );
    expect(held.response.vm?.state?.reason).toBe('by alice: to see it boot');
    const released = await outcomeOf<ReleaseVmResponse>((callback) =>
      client.releaseVm(ReleaseVmRequest.fromPartial({ vmId: VM, ...BY }), callback),
    );
    expect(released.response.found).toBe('the guest is running; its next event is answered');
    const host = await outcomeOf<GetHostResponse>((callback) => client.getHost({}, callback));
    expect(host.response.host).toEqual({ hold: undefined });
    const one = await outcomeOf<GetVmResponse>((callback) => client.getVm({ vmId: VM }, callback));
    expect(one.response.vm).toMatchObject({ id: VM, labels: { tier: 'prod' } });
  });

  test.each<[string, Partial<ActOnVmRequest>, string]>([
    ['no actor', { actor: '' }, 'actor'],
    ['no reason', { reason: '' }, 'reason'],
    ['an actor that is no plain text', { actor: 'a\u001b[31m' }, 'actor'],
    ['a reason that is too long', { reason: 'x'.repeat(257) }, 'reason'],
    ['a request id that is too long', { requestId: 'x'.repeat(129) }, 'request_id'],
    ['an unknown verb', { verb: 'explode' }, 'verb'],
    ['hold as a verb', { verb: 'hold' }, 'verb'],
    ['a timeout too short', { timeoutMs: 999n }, 'timeout_ms'],
    ['a timeout too long', { timeoutMs: 2n ** 63n }, 'timeout_ms'],
    ['no VM', { vmId: '' }, 'vm_id'],
  ])('%s is named', async (_what, wrong, field) => {
    const { client, made } = await serve();
    const { error } = await outcomeOf<ActOnVmResponse>((callback) =>
      client.actOnVm(
        ActOnVmRequest.fromPartial({ vmId: VM, verb: 'dump', ...BY, ...wrong }),
        callback,
      ),
    );
    expect(error?.code).toBe(status.INVALID_ARGUMENT);
    expect(detailsOf(error).violations).toMatchObject([{ field }]);
    expect((await made.story()).filter((line) => line.startsWith('operator'))).toEqual([]);
  });

  test('what is not so is told by a stable reason', async () => {
    const { client } = await serve();
    const cancel = await outcomeOf<CancelActResponse>((callback) =>
      client.cancelAct(CancelActRequest.fromPartial({ vmId: VM, ...BY }), callback),
    );
    expect(reasonOf(cancel.error)).toBe('NOTHING_TO_CANCEL');
    const budget = await outcomeOf((callback) =>
      client.resetBudget(
        ResetBudgetRequest.fromPartial({ vmId: VM, budget: 'none', ...BY }),
        callback,
      ),
    );
    expect(reasonOf(budget.error)).toBe('BUDGET_UNKNOWN');
  });
});
