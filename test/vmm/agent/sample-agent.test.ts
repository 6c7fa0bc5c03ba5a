import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Disposition, StepState } from '../../../src/gen/vmwarden/v1/record.js';
import { EventType, Origin } from '../../../src/gen/vmwarden/v1/system_event.js';
import { agentVm } from '../../support/agent-rig.js';
import { lifeDir, VM } from '../../support/kill-rig.js';
import { KILLED, spawnLife, startLife } from '../../support/life.js';
import type { LifeClient } from '../../support/life-client.js';
import { lifeConfig, policyOf } from '../../support/life-config.js';
import { LifeLedger } from '../../support/life-ledger.js';
import { connectedLife } from '../../support/life-one.js';
import { startSampleAgent } from '../../support/sample-agent.js';
import { waitFor } from '../../support/wait-for.js';

// The agent of docs/agents.md against the whole program: nothing lost, and no step done twice, whoever is killed when.

const LONG = 60_000;
const WITHIN = 25_000;

const rig = async (slowness = 0, policy: string | null = policyOf('[restart]')) => {
  const dir = await lifeDir();
  const config = lifeConfig({ dir, policy, vms: [agentVm(VM)] });
  const ledger = new LifeLedger();
  onTestFinished(() => ledger.leave());
  const follow = (client: LifeClient) => ledger.follow(client);
  const agent = (slow = slowness) =>
    startSampleAgent({ dir: join(dir, 'agent'), socket: config.socket, vm: VM, slowness: slow });
  const steps = () => ledger.bodies(VM, 'step').map(({ state }) => StepState[state]);
  const crashes = () =>
    ledger.bodies(VM, 'event').filter(({ event }) => event?.type === EventType.CRASH);
  return { dir, config, ledger, follow, agent, steps, crashes };
};

/** The journal ends with this outcome; steps before it may have been started in an earlier life. */
const DONE = /^(APPLIED|ALREADY)$/;

it(
  'tells the kernel’s record and restarts the guest',
  async () => {
    const { config, ledger, follow, agent, steps, crashes } = await rig();
    const { address } = await startLife(config);
    const client = connectedLife(address);
    follow(client);
    const sample = agent();
    await client.settled(VM, 'running', WITHIN);
    await sample.die();
    await ledger.until('the restart is proven', () => steps().includes('APPLIED'), WITHIN);
    expect(steps()).toEqual(['STARTED', 'APPLIED']);
    expect(sample.guest()).toMatchObject({ state: 'RUNNING', boots: 2 });
    expect(crashes()).toMatchObject([
      {
        origin: Origin.KERNEL,
        disposition: Disposition.DECIDED,
        bootId: sample.guest().bootId,
        key: { key: { $case: 'sourceSequence', value: { source: 'agent', sequence: 1n } } },
        event: { rawType: 3, arch: process.arch === 'arm64' ? 'aarch64' : 'x86_64' },
      },
    ]);
    const proof = ledger.bodies(VM, 'step').at(-1)?.proof;
    expect(proof).toEqual(['boot 2', 'status running, a new boot seen']);
    await waitFor('acknowledged', () => sample.log().some(({ acked }) => acked === 1));
    expect(ledger.complaints).toEqual([]);
  },
  LONG,
);

it(
  'powers its guest off when it asked for that',
  async () => {
    const { config, ledger, follow, agent, steps } = await rig();
    const client = connectedLife((await startLife(config)).address);
    follow(client);
    const sample = agent();
    await client.settled(VM, 'running', WITHIN);
    await sample.die(1);
    await ledger.until('an outcome', () => steps().length === 2, WITHIN);
    expect(steps()[1]).toMatch(DONE);
    expect(sample.guest()).toMatchObject({ state: 'SHUTDOWN', boots: 1 });
  },
  LONG,
);

it.each(['restart', 'restart:written', 'outcome:before', 'intent:after', 'intent:before'])(
  'is asked for a step once, when vmwarden is killed at %s',
  async (point) => {
    const { config, ledger, follow, agent, steps, crashes } = await rig(150);
    const first = spawnLife(config, { point, nth: 1 });
    await first.ready;
    const sample = agent();
    await waitFor('a guest', () => sample.guest().boots === 1, WITHIN);
    await sample.die();
    expect(await first.end(WITHIN)).toMatchObject(KILLED);

    const client = connectedLife((await startLife(config)).address);
    follow(client);
    await client.settled(VM, 'running', WITHIN);
    await ledger.until('an outcome', () => DONE.test(steps().at(-1) ?? ''), WITHIN);
    expect(sample.guest()).toMatchObject({ state: 'RUNNING', boots: 2 });
    expect(new Set(sample.begun()).size).toBe(1);
    expect(sample.begun()).toHaveLength(1);
    expect(crashes()).toHaveLength(1);
    await waitFor('acknowledged', () => sample.log().some(({ acked }) => acked === 1), WITHIN);
    // And the guest that it has now is answered for itself.
    await sample.die();
    await ledger.until('the second death', () => crashes().length === 2, WITHIN);
    await waitFor('boot 3', () => sample.guest().boots === 3, WITHIN);
  },
  LONG,
);

it.each([
  { when: 'before it boots the guest', reached: (boots: number) => boots === 1 },
  { when: 'when it has booted the guest', reached: (boots: number) => boots === 2 },
])(
  'does a step once, killed $when',
  async ({ reached }) => {
    const { config, ledger, follow, agent, steps, crashes } = await rig();
    const client = connectedLife((await startLife(config)).address);
    follow(client);
    const sample = agent(400);
    await client.settled(VM, 'running', WITHIN);
    await sample.die();
    await waitFor(
      'the step has come so far',
      () => sample.begun().length === 1 && reached(sample.guest().boots),
      WITHIN,
    );
    await sample.kill();
    expect(sample.ended()).toEqual([]);
    const again = agent(0);
    await ledger.until('an outcome', () => DONE.test(steps().at(-1) ?? ''), WITHIN);
    expect(again.guest()).toMatchObject({ state: 'RUNNING', boots: 2 });
    expect(again.begun()).toHaveLength(1);
    expect(steps()).toEqual(['STARTED', 'APPLIED']);
    expect(crashes()).toHaveLength(1);
  },
  LONG,
);

it(
  'does a step once, when both are killed in the midst of it',
  async () => {
    const { config, ledger, follow, agent, steps, crashes } = await rig();
    const { life, address } = await startLife(config);
    const client = connectedLife(address);
    const sample = agent(400);
    await client.settled(VM, 'running', WITHIN);
    await sample.die();
    await waitFor('the step has begun', () => sample.begun().length === 1, WITHIN);
    await Promise.all([life.kill(), sample.kill()]);
    const boots = sample.guest().boots;
    expect(sample.ended()).toEqual([]);

    const next = connectedLife((await startLife(config)).address);
    follow(next);
    const again = agent(0);
    await next.settled(VM, 'running', WITHIN);
    await ledger.until('an outcome', () => DONE.test(steps().at(-1) ?? ''), WITHIN);
    expect(boots).toBeLessThanOrEqual(2);
    expect(again.guest()).toMatchObject({ state: 'RUNNING', boots: 2 });
    expect(new Set(again.begun()).size).toBe(1);
    expect(crashes()).toHaveLength(1);
  },
  LONG,
);

it(
  'loses no event that came while vmwarden was away, and tells none twice',
  async () => {
    const { config, ledger, follow, agent, crashes } = await rig(0, null);
    const { life, address } = await startLife(config);
    const sample = agent();
    await connectedLife(address).settled(VM, 'running', WITHIN);
    await sample.die();
    await life.kill();
    for (let more = 0; more < 4; more += 1) await sample.die();
    const next = await startLife(config);
    const client = connectedLife(next.address);
    follow(client);
    await waitFor('all acknowledged', () => sample.log().some(({ acked }) => acked === 5), WITHIN);
    const sequences = () =>
      crashes().map(({ key }) =>
        key?.key?.$case === 'sourceSequence' ? key.key.value.sequence : null,
      );
    await ledger.until('five events', () => sequences().length >= 5, WITHIN);
    expect(sequences()).toEqual([1n, 2n, 3n, 4n, 5n]);
  },
  LONG,
);
