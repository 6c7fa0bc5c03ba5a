import { afterEach, describe, expect, it } from 'vitest';
import type { RunningEngine } from '../../src/engine/create-engine.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import {
  type Bench,
  CRASH_POLICY,
  crashReport,
  engineBench,
  ManualClock,
  policyOf,
} from '../support/engine-bench.js';
import { ScriptedDriver } from '../support/scripted-driver.js';

const engines: RunningEngine[] = [];
const bench = async (options: Parameters<typeof engineBench>[0] = {}): Promise<Bench> => {
  const made = await engineBench({ vms: [], ...options });
  engines.push(made.engine);
  return made;
};
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop(1000)));
});

const POLICY = policyOf(
  CRASH_POLICY.replace('base: 10s', 'base: 0s').replace(
    'on: [CRASH, WATCHDOG, VMM_ERROR]',
    'on: [CRASH, WATCHDOG, VMM_ERROR]\n      when: vm.label("tier") == "web"',
  ),
);
const found = (driver: ScriptedDriver, changes = {}) => ({
  id: 'web-1',
  uid: '',
  labels: { tier: 'web' },
  driver,
  takeOver: false,
  ...changes,
});
const connected = (made: Bench) =>
  made.until('contact', () => made.engine.vms().some(({ contact }) => contact === 'connected'));
const lost = (made: Bench) =>
  made.until('loss', () => made.engine.vms().every(({ contact }) => contact === 'lost'));
const restarted = (made: Bench, times: number) =>
  made.until(`${times} restarts`, async () => {
    const steps = (await made.story()).filter((line) => line === 'step restart applied');
    return steps.length === times && made.engine.vms()[0]?.incident === '';
  });

describe('VMs that come and go', () => {
  it('are answered by the policy, by their labels', async () => {
    const made = await bench({ policy: POLICY });
    const other = new ScriptedDriver('db-1');
    await made.engine.attach(found(other, { id: 'db-1', labels: { tier: 'db' } }));
    await connected(made);
    other.panic();
    await made.until('the answer', async () =>
      (await made.story()).includes('decision otherwise: '),
    );
    const driver = new ScriptedDriver('web-1');
    await made.engine.attach(found(driver));
    await made.until('contact', () => made.engine.vm('web-1').contact === 'connected');
    driver.panic();
    await made.until('restart', async () => (await made.story()).includes('step restart applied'));
    expect(driver.calls).toContain('restart');
    expect(other.calls).not.toContain('restart');
  });

  it('stay while in contact; out of contact they go, and leave their budgets', async () => {
    const made = await bench({ policy: POLICY });
    const driver = new ScriptedDriver('web-1');
    await made.engine.attach(found(driver));
    await connected(made);
    driver.panic();
    await restarted(made, 1);
    expect(await made.engine.retire('web-1')).toBe(false);
    driver.disconnect();
    await lost(made);
    expect(made.health.get('vm web-1')).toContain('out of contact');
    expect(await made.engine.retire('web-1')).toBe(true);
    expect(made.engine.vms()).toEqual([]);
    expect(made.health.has('vm web-1')).toBe(false);
    expect(() => made.engine.vm('web-1')).toThrow();

    const again = new ScriptedDriver('web-1', 'process-2');
    await made.engine.attach(found(again));
    await connected(made);
    expect(made.engine.vms()[0]?.budgets).toMatchObject([{ name: 'crash', used: 1 }]);
  });

  it('stay while they are held', async () => {
    const made = await bench({ policy: POLICY });
    const driver = new ScriptedDriver('web-1');
    await made.engine.attach(found(driver));
    await connected(made);
    const said = { actor: 'ann', reason: 'looking', requestId: '' };
    await made.engine.operators.hold('web-1', said);
    driver.disconnect();
    await lost(made);
    expect(await made.engine.retire('web-1')).toBe(false);
    expect(made.engine.vms()[0]).toMatchObject({ phase: 'held', contact: 'lost' });
    await made.engine.operators.release('web-1', said);
    expect(await made.engine.retire('web-1')).toBe(true);
  });

  it('stay while an incident is open, and the same driver finishes it', async () => {
    const made = await bench({ policy: POLICY });
    const driver = new ScriptedDriver('web-1');
    await made.engine.attach(found(driver));
    await connected(made);
    driver.disconnect();
    await lost(made);
    await made.engine.report(crashReport({ bootId: null }));
    expect(made.engine.vms()[0]?.incident).not.toBe('');
    expect(await made.engine.retire('web-1')).toBe(false);
    expect(made.engine.vms()).toHaveLength(1);
  });

  it('are watched by the new driver alone when they are found elsewhere', async () => {
    const made = await bench({ policy: POLICY });
    const first = new ScriptedDriver('web-1');
    await made.engine.attach(found(first));
    await connected(made);
    const second = new ScriptedDriver('web-1', 'process-2');
    await made.engine.attach(found(second));
    expect(first.watch?.signal.aborted).toBe(true);
    second.panic();
    await restarted(made, 1);
    expect(first.calls).not.toContain('restart');
    expect(second.calls).toContain('restart');
  });

  it('that were retired are not listed by the next life, until something is told of them', async () => {
    const clock = new ManualClock();
    const journal = new MemoryJournal({ now: () => clock.wallMs });
    const made = await bench({ policy: POLICY, journal, clock });
    const driver = new ScriptedDriver('web-1');
    await made.engine.attach(found(driver));
    await connected(made);
    driver.panic();
    await restarted(made, 1);
    driver.disconnect();
    await lost(made);
    expect(await made.engine.retire('web-1')).toBe(true);
    await made.engine.stop(1_000);

    const next = await bench({ policy: POLICY, journal, clock, retired: ['web-1'] });
    expect(next.engine.vms()).toEqual([]);
    await next.engine.report(crashReport({ bootId: null }));
    expect(next.engine.vms()[0]?.budgets).toMatchObject([{ name: 'crash', used: 1 }]);
  });
});
