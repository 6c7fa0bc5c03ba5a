import { afterEach, describe, expect, it } from 'vitest';
import type { RunningEngine } from '../../src/engine/create-engine.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import type { Outcome } from '../../src/vmm/driver.js';
import { type Bench, engineBench, ManualClock, policyOf } from '../support/engine-bench.js';
import { ScriptedDriver } from '../support/scripted-driver.js';

const never = new Promise<Outcome>(() => undefined);

const engines: RunningEngine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop(100)));
});

const world = () => {
  const clock = new ManualClock();
  const journal = new MemoryJournal({ now: () => clock.wallMs });
  return {
    clock,
    journal,
    life: async (driver: ScriptedDriver, yaml?: string): Promise<Bench> => {
      const policy = yaml === undefined ? {} : { policy: policyOf(yaml) };
      const bench = await engineBench({ clock, journal, driver, ...policy });
      engines.push(bench.engine);
      return bench;
    },
  };
};

const steps = async (bench: Bench): Promise<readonly string[]> =>
  (await bench.story()).filter((line) => line.startsWith('step'));

const policy = (plan: string, delay = '0s'): string => `apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: lives }
spec:
  mode: enforce
  budgets:
    few:
      limits: [{ attempts: 3, within: 1h }]
      delay: { base: ${delay}, factor: 1, jitter: 0 }
  rules:
    - { name: crashed, on: [CRASH], do: ${plan}, budget: few }
    - { name: asked to stop, on: [SHUTDOWN], do: [powerOff] }
`;

describe('what an earlier life has seen', () => {
  it('of a guest found down counts only with the event that tells it', async () => {
    const { journal, life } = world();
    await life(new ScriptedDriver('web-1'));
    // Down while nobody watched; then found, while the journal takes outcomes and no events.
    const driver = new ScriptedDriver('web-1');
    driver.silent = true;
    driver.state = 'panicked';
    const second = await life(driver);
    journal.refuseIngest(true);
    driver.connect(false);
    driver.tell('CRASH', 'guest', 'pause', true);
    await second.until('contact', () => second.engine.vms()[0]?.contact === 'connected');
    await second.until('a refusal', () => second.health.has('vm web-1'));
    expect(driver.watch?.lastSeen()).toMatchObject({ bootId: 'process-1', state: 'unknown' });
    expect(second.engine.vms()[0]?.state).toBe('panicked');

    journal.refuseIngest(false);
    await second.until('the answer', async () =>
      (await steps(second)).includes('step restart applied'),
    );
    expect(driver.watch?.lastSeen()?.state).toBe('running');
  });
});

describe('an intent on a process that has ended since', () => {
  it('to power it off is done, without asking a driver that has no contact yet', async () => {
    const { life } = world();
    const first = new ScriptedDriver('web-1');
    const killed = await life(first, policy('[restart]'));
    await killed.until('contact', () => killed.engine.vms()[0]?.state === 'running');
    first.answers.push(never);
    first.state = 'shutdown';
    first.tell('SHUTDOWN', 'guest');
    await killed.until('the act', () => first.calls.includes('powerOff'));
    first.state = 'exited';
    first.tell('VMM_EXITED', 'vmwarden');
    await killed.until('the exit', () => killed.engine.vms()[0]?.state === 'exited');

    const driver = new ScriptedDriver('web-1');
    driver.silent = true;
    const next = await life(driver, policy('[restart]'));
    await next.until('the outcome', async () =>
      (await steps(next)).includes('step powerOff already'),
    );
    expect(driver.calls).toEqual([]);
  });
});

describe('a step of an earlier life that still waits', () => {
  const panicTwice = async (made: ReturnType<typeof world>): Promise<void> => {
    const driver = new ScriptedDriver('web-1');
    const first = await made.life(driver, policy('[restart]', '10s'));
    await first.until('contact', () => first.engine.vms()[0]?.state === 'running');
    driver.panic();
    await first.until('a restart', async () =>
      (await steps(first)).includes('step restart applied'),
    );
    driver.panic();
    await first.until('the wait', () => first.engine.vms()[0]?.phase === 'waiting');
  };

  it('is not run on a guest that has booted since, and gives no attempt back', async () => {
    const made = world();
    await panicTwice(made);
    const driver = new ScriptedDriver('web-1');
    driver.silent = true;
    const next = await made.life(driver, policy('[restart]', '10s'));
    driver.connect(false);
    await next.until('the end', () => next.engine.vms()[0]?.incident === '');
    expect((await steps(next)).at(-1)).toBe('step restart cancelled BOOTED_SINCE');
    expect(driver.calls).toEqual([]);
    // The first restart's; the second's was never charged, so there is nothing to give back.
    expect(next.engine.vms()[0]?.budgets).toMatchObject([{ name: 'few', used: 1 }]);
  });

  it('waits on for a guest that is still down', async () => {
    const made = world();
    await panicTwice(made);
    const driver = new ScriptedDriver('web-1');
    driver.state = 'panicked';
    const next = await made.life(driver, policy('[restart]', '10s'));
    await next.until('contact', () => next.engine.vms()[0]?.contact === 'connected');
    expect(next.engine.vms()[0]).toMatchObject({ phase: 'waiting' });
    expect(driver.calls).toEqual([]);
  });
});
