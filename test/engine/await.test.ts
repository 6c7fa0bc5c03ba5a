import { afterEach, expect, it } from 'vitest';
import type { RunningEngine } from '../../src/engine/create-engine.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import {
  type Bench,
  crashReport,
  engineBench,
  ManualClock,
  policyOf,
} from '../support/engine-bench.js';
import { ScriptedDriver } from '../support/scripted-driver.js';

const POLICY = policyOf(`
apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: await }
spec:
  mode: enforce
  budgets:
    crash: { limits: [{ attempts: 1, within: 1h }] }
  rules:
    - name: let it dump
      on: [CRASH_LOADED]
      do: [{ await: { event: RESET, timeout: 10m, otherwise: [dump, restart] } }]
      budget: crash
      exhausted: [hold]
`);
const MINUTE = 60_000;
const engines: RunningEngine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop(1000)));
});
const bench = async (options: Parameters<typeof engineBench>[0] = {}): Promise<Bench> => {
  const made = await engineBench({ policy: POLICY, ...options });
  engines.push(made.engine);
  await made.until('contact', () => made.engine.vms()[0]?.contact === 'connected');
  return made;
};
const loaded = async (made: Bench): Promise<void> => {
  made.driver.tell('CRASH_LOADED', 'guest');
  await made.until('the wait', async () => (await made.story()).includes('step await started'));
};
const closed = (made: Bench) =>
  made.until('the end', () => made.engine.vms()[0]?.incident === '' && made.engine.vms()[0]);

it('closes as self-recovered when the RESET comes, and charges nothing', async () => {
  const made = await bench();
  await loaded(made);
  expect(made.engine.vms()[0]).toMatchObject({
    phase: 'waiting',
    nextAttemptMs: made.clock.wallMs + 10 * MINUTE,
  });
  made.clock.advance(2 * MINUTE);
  made.driver.boots += 1;
  made.driver.tell('RESET', 'guest');
  expect(await closed(made)).toMatchObject({ phase: 'well', reason: '', budgets: [] });
  expect(await made.story()).toEqual([
    'event CRASH_LOADED decided',
    'decision let it dump: await',
    'step await started',
    'event RESET joined',
    'step await applied',
  ]);
  expect(made.driver.calls).toEqual([]);
});

it('is otherwise answered when its time is up, and pays then', async () => {
  const made = await bench();
  await loaded(made);
  made.clock.advance(10 * MINUTE);
  // Whatever wakes it: here a policy that says the same.
  await made.engine.setPolicy(POLICY, 'again');
  expect(await closed(made)).toMatchObject({ phase: 'well' });
  expect((await made.story()).slice(2)).toEqual([
    'step await started',
    'step await failed NOT_SEEN',
    'step dump started',
    'step dump applied',
    'step restart started',
    'event RESET joined',
    'step restart applied',
  ]);
  expect(made.engine.vms()[0]?.budgets).toMatchObject([{ name: 'crash', used: 1 }]);
});

it('does not wait for a guest that has stopped', async () => {
  const made = await bench();
  await loaded(made);
  made.driver.panic();
  await closed(made);
  expect(await made.story()).toContain('step await failed GUEST_STOPPED');
  expect(made.driver.calls).toEqual(['dump', 'restart']);
});

it('is not ended by a RESET of a boot that nobody stated', async () => {
  const made = await bench();
  await loaded(made);
  const event = { ...crashReport().event, type: 'RESET' as const };
  await made.engine.report(crashReport({ event, bootId: null }));
  expect(made.engine.vms()[0]).toMatchObject({ phase: 'waiting' });
});

it('outlives vmwarden: the next life waits out what is left', async () => {
  const clock = new ManualClock();
  const journal = new MemoryJournal({ now: () => clock.wallMs });
  const driver = new ScriptedDriver('web-1');
  const first = await bench({ clock, journal, driver });
  await loaded(first);
  await first.engine.stop(1000);
  clock.advance(4 * MINUTE);

  const second = await bench({ clock, journal, driver });
  const [view] = second.engine.vms();
  expect(view).toMatchObject({ phase: 'waiting', nextAttemptMs: clock.wallMs + 6 * MINUTE });
  clock.advance(6 * MINUTE);
  await second.engine.setPolicy(POLICY, 'again');
  await closed(second);
  expect(driver.calls.filter((call) => call !== 'refresh' && call !== 'release')).toEqual([
    'dump',
    'restart',
  ]);
});

it('is over when the guest has booted while vmwarden was away', async () => {
  const clock = new ManualClock();
  const journal = new MemoryJournal({ now: () => clock.wallMs });
  const first = await bench({ clock, journal });
  await loaded(first);
  await first.engine.stop(1000);

  const driver = new ScriptedDriver('web-1');
  driver.silent = true;
  const second = await engineBench({ policy: POLICY, clock, journal, driver });
  engines.push(second.engine);
  driver.connect(false);
  expect(await closed(second)).toMatchObject({ phase: 'well' });
  expect(await second.story()).toContain('step await already');
  expect(driver.calls).toEqual([]);
});

it('sends an NMI, and starts a VMM process anew, where the policy says so', async () => {
  const policy = policyOf(`
apiVersion: vmwarden.dev/v1
kind: EventPolicy
metadata: { name: steps }
spec:
  mode: enforce
  budgets: { b: { limits: [{ attempts: 2, within: 1h }] } }
  rules:
    - { name: hangs, on: [WATCHDOG], do: [nmi] }
    - { name: sealed, on: [SEV_TERM], do: [{ restart: { in: process } }], budget: b, exhausted: [hold] }
`);
  const made = await bench({ policy });
  made.driver.tell('WATCHDOG', 'guest');
  await made.until('nmi', () => made.driver.calls.includes('nmi'));
  await closed(made);
  made.driver.tell('SEV_TERM', 'guest');
  await made.until('restart', () => made.driver.calls.includes('restartProcess'));
  await closed(made);
  expect(made.driver.calls).toEqual(['nmi', 'restartProcess']);
});
