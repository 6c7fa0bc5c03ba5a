import { afterEach, describe, expect, it } from 'vitest';
import type { RunningEngine } from '../../src/engine/create-engine.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import { type Bench, engineBench, ManualClock, policyOf } from '../support/engine-bench.js';
import { ScriptedDriver } from '../support/scripted-driver.js';

const policyWith = (safety: string, rest = '') =>
  policyOf(`
apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: storm }
spec:
  mode: enforce
  safety: ${safety}
  budgets: { crash: { limits: [{ attempts: 9, within: 1h }], delay: { base: 0s } } }
  rules:
    - { name: crashed, on: [CRASH], do: [dump, restart], budget: crash, exhausted: [hold] }
    - { name: off, on: [SHUTDOWN], do: [powerOff] }
${rest}`);
const STORM = policyWith('{ storm: { vms: 3, within: 60s, quiet: 5m } }');

const engines: RunningEngine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop(1000)));
});

interface Fleet extends Bench {
  readonly drivers: readonly ScriptedDriver[];
  restarted(): readonly string[];
}

const fleet = async (
  count: number,
  options: Parameters<typeof engineBench>[0] & { drivers?: readonly ScriptedDriver[] } = {},
): Promise<Fleet> => {
  const drivers =
    options.drivers ??
    Array.from({ length: count }, (_, index) => new ScriptedDriver(`vm-${index}`));
  const made = await engineBench({
    policy: STORM,
    vms: drivers.map((driver, index) => ({ id: `vm-${index}`, uid: '', driver, takeOver: false })),
    ...options,
  });
  engines.push(made.engine);
  await made.until('contact', () =>
    made.engine.vms().every(({ contact }) => contact === 'connected'),
  );
  return {
    ...made,
    drivers,
    restarted: () =>
      drivers.flatMap(({ calls }, index) => (calls.includes('restart') ? [`vm-${index}`] : [])),
  };
};

const waiting = (made: Fleet, count: number) =>
  made.until(`${count} waiting`, async () => {
    const held = (await made.story()).filter((line) => line === 'step restart waiting STORM');
    return held.length === count;
  });

describe('the storm guard', () => {
  it('holds restarts when many distinct VMs die; records, dumps and power-offs go on', async () => {
    const made = await fleet(5);
    for (const driver of made.drivers.slice(0, 4)) driver.panic();
    // Before the first dump was written, three had died.
    await waiting(made, 4);
    await made.until('dumps', () =>
      made.drivers.slice(0, 4).every(({ calls }) => calls.includes('dump')),
    );
    expect(made.restarted()).toEqual([]);
    const off = made.drivers[4];
    if (off !== undefined) off.state = 'shutdown';
    off?.tell('SHUTDOWN', 'guest');
    await made.until('the power-off', () => off?.calls.includes('powerOff'));
    await made.until('health', () => made.health.has('storm'));
    expect(made.engine.vms()[3]).toMatchObject({ phase: 'waiting', nextAttemptMs: null });
    expect(made.engine.vms()[3]?.reason).toContain('many VMs died at once');
  });

  it('closes by itself after quiet, then lets one held restart go per 2 s', async () => {
    const made = await fleet(5);
    for (const driver of made.drivers) driver.panic();
    await waiting(made, 5);
    made.clock.advance(5 * 60_000);
    for (let count = 1; count <= 5; count += 1) {
      await made.until(`restart ${count}`, () => made.restarted().length === count);
      // In the order in which they died.
      expect(made.restarted()).toContain(`vm-${count - 1}`);
      made.clock.advance(2_000);
    }
    await made.until('calm', () => !made.health.has('storm'));
  });

  it('goes on while VMs die, and counts a VM once', async () => {
    const made = await fleet(4);
    const [first, second] = made.drivers;
    for (let time = 0; time < 4; time += 1) {
      first?.panic();
      await made.until('its restart', () => first?.state === 'running');
      await made.until('the end', () => made.engine.vms()[0]?.incident === '');
      made.clock.advance(10_000);
    }
    second?.panic();
    await made.until('its restart', () => made.restarted().includes('vm-1'));
    expect((await made.story()).join()).not.toContain('waiting');
  });

  it('is not over for a kill -9, and holds what the last life held', async () => {
    const clock = new ManualClock();
    const journal = new MemoryJournal({ now: () => clock.wallMs });
    const first = await fleet(4, { clock, journal });
    for (const driver of first.drivers) driver.panic();
    await waiting(first, 4);
    await first.engine.stop(1000);

    const second = await fleet(4, { clock, journal, drivers: first.drivers });
    clock.advance(60_000);
    await second.until('it is told', () => second.health.has('storm'));
    expect(second.restarted()).toEqual([]);
    clock.advance(4 * 60_000);
    await second.until('the first', () => second.restarted().length === 1);
    clock.advance(2_000);
    await second.until('the second', () => second.restarted().length === 2);
  });

  it('ends after quiet, though the wall clock went back as the host booted', async () => {
    const clock = new ManualClock();
    const journal = new MemoryJournal({ now: () => clock.wallMs });
    const first = await fleet(3, { clock, journal });
    for (const driver of first.drivers) driver.panic();
    await waiting(first, 3);
    await first.engine.stop(1000);

    clock.hostBootId = 'host-boot-2';
    clock.wallMs -= 30 * 24 * 3_600_000;
    clock.monoMs = 5_000;
    const drivers = [0, 1, 2].map((index) => new ScriptedDriver(`vm-${index}`, 'process-2'));
    const second = await fleet(3, { clock, journal, drivers });
    drivers[0]?.panic();
    await second.until('the wait', async () => (await second.story()).at(-1)?.endsWith('STORM'));
    clock.advance(5 * 60_000);
    await second.until('the restart', () => second.restarted().length === 1);
    clock.advance(2_000);
    await second.until('calm', () => !second.health.has('storm'));
  });

  it('counts the guests that are found down as the hold of the host ends', async () => {
    const by = { actor: 'ops', reason: 'try', requestId: '' };
    const made = await fleet(5);
    await made.engine.operators.holdHost(by);
    // Nothing was told of them: they are found.
    for (const driver of made.drivers) driver.state = 'panicked';
    made.clock.advance(120_000);
    await made.engine.operators.releaseHost(by);
    // The two before the third died alone, as far as anybody knew.
    await made.until('all answered', () => made.engine.vms().every((vm) => vm.incident !== ''));
    await waiting(made, 5);
    expect(made.restarted()).toEqual([]);
    const dying = (await made.records()).flatMap(({ record: { body } }) =>
      body?.$case === 'decision' ? [body.value.inputs?.hostDying] : [],
    );
    expect(dying).toEqual([1, 2, 3, 4, 5]);
    await made.until('health', () => made.health.has('storm'));
  });

  it('counts a guest that is found down as its own hold ends', async () => {
    const by = { actor: 'ops', reason: 'try', requestId: '' };
    const made = await fleet(3);
    for (const vm of ['vm-0', 'vm-1', 'vm-2']) await made.engine.operators.hold(vm, by);
    for (const driver of made.drivers) driver.state = 'panicked';
    for (const vm of ['vm-0', 'vm-1', 'vm-2']) await made.engine.operators.release(vm, by);
    await made.until('health', () => made.health.has('storm'));
    expect(made.restarted()).not.toContain('vm-2');
  });

  it('cannot trip on a host of one VM', async () => {
    const made = await fleet(1, {
      policy: policyWith('{ storm: { vms: 2, percent: 100, within: 60s, quiet: 5m } }'),
    });
    made.drivers[0]?.panic();
    await made.until('restart', () => made.restarted().length === 1);
    expect((await made.story()).join()).not.toContain('waiting');
  });
});

describe('limits of the host', () => {
  const limited = policyWith('{ concurrent: { restarts: 1, dumps: 2 } }');

  it('runs no more at once than the policy allows, and all in the end', async () => {
    const drivers = Array.from({ length: 6 }, (_, index) => new ScriptedDriver(`vm-${index}`));
    const running = { dump: 0, restart: 0 };
    const most = { dump: 0, restart: 0 };
    const gates: (() => void)[] = [];
    for (const driver of drivers) {
      const slowly = async <T>(verb: 'dump' | 'restart', act: () => Promise<T>): Promise<T> => {
        running[verb] += 1;
        most[verb] = Math.max(most[verb], running[verb]);
        await new Promise<void>((resolve) => gates.push(resolve));
        running[verb] -= 1;
        return await act();
      };
      const { dump, restart } = driver;
      driver.dump = (act) => slowly('dump', () => dump.call(driver, act));
      driver.restart = (act) => slowly('restart', () => restart.call(driver, act));
    }
    const made = await fleet(6, { policy: limited, drivers });
    for (const driver of drivers) driver.panic();
    await made.until('all restarted', () => {
      for (const open of gates.splice(0)) open();
      return made.restarted().length === 6 && made.engine.vms().every((vm) => vm.incident === '');
    });
    expect(most).toEqual({ dump: 2, restart: 1 });
    expect((await made.story()).join()).toContain('waiting CONCURRENT');
  });
});

describe('maintenance', () => {
  it('observes a selected VM until its time, and acts on the others', async () => {
    const clock = new ManualClock();
    const until = new Date(clock.wallMs + 60_000).toISOString();
    const policy = policyWith(
      '{}',
      `  maintenance: [{ vms: { ids: [vm-0] }, until: "${until}", reason: new firmware }]`,
    );
    const made = await fleet(2, { policy, clock });
    for (const driver of made.drivers) driver.panic();
    await made.until('restart', () => made.restarted().length === 1);
    expect(made.restarted()).toEqual(['vm-1']);
    const decisions = (await made.records()).flatMap(({ record: { vmId, body } }) =>
      body?.$case === 'decision' && vmId === 'vm-0' ? [body.value.reasons.at(-1)] : [],
    );
    expect(decisions).toEqual([
      `This VM is under maintenance until ${until} (new firmware): this is what would be done; nothing is.`,
    ]);

    clock.advance(60_000);
    made.drivers[0]?.panic();
    await made.until('restart', () => made.restarted().length === 2);
  });
});
