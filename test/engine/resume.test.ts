import { afterEach, describe, expect, it } from 'vitest';
import type { RunningEngine } from '../../src/engine/create-engine.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import type { GuestState, Outcome } from '../../src/vmm/driver.js';
import {
  type Bench,
  CRASH_POLICY,
  engineBench,
  ManualClock,
  policyOf,
} from '../support/engine-bench.js';
import { ScriptedDriver } from '../support/scripted-driver.js';

const never = new Promise<Outcome>(() => undefined);
const DUMPED: Outcome = { kind: 'applied', proof: ['dumped'], state: 'panicked' };

const engines: RunningEngine[] = [];
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop(100)));
});

/** A life that was killed while its restart was under way, and the next one, which finds the guest in `state`. */
const lives = async (
  state: GuestState,
  process = 'process-1',
  hostBootId?: string,
  policies: { readonly first?: string; readonly second?: string } = {},
): Promise<Bench> => {
  const clock = new ManualClock();
  const journal = new MemoryJournal({ now: () => clock.wallMs });
  const { first: before = CRASH_POLICY, second: after = before } = policies;
  const first = await engineBench({ clock, journal, policy: policyOf(before) });
  engines.push(first.engine);
  await first.until('contact', () => first.engine.vms()[0]?.state === 'running');
  first.driver.answers.push(DUMPED, never);
  first.driver.panic();
  await first.until('restart under way', async () =>
    (await first.story()).includes('step restart started'),
  );

  if (hostBootId !== undefined) clock.hostBootId = hostBootId;
  const driver = new ScriptedDriver('web-1', process);
  driver.state = state;
  const second = await engineBench({ clock, journal, driver, policy: policyOf(after) });
  engines.push(second.engine);
  return second;
};

const renamed = (name: string): string =>
  CRASH_POLICY.replace(/^ {4}crash:/m, `    ${name}:`).replaceAll(
    'budget: crash',
    `budget: ${name}`,
  );

const lastSteps = async (made: Bench): Promise<readonly string[]> => {
  await made.until('the end of the incident', () => made.engine.vms()[0]?.incident === '');
  return (await made.story()).filter((line) => line.startsWith('step restart'));
};

describe('an intent without an outcome', () => {
  it('is run once more on a guest that still waits, and pays for it', async () => {
    const made = await lives('panicked');
    expect(await lastSteps(made)).toEqual([
      'step restart started',
      'step restart started',
      'step restart applied',
    ]);
    expect(made.driver.calls).toEqual(['restart']);
    expect(made.engine.vms()[0]?.budgets).toMatchObject([{ name: 'crash', used: 2 }]);
  });

  it('pays also where its budget has another name by now, so that the old one finds its attempts', async () => {
    const made = await lives('panicked', undefined, undefined, {
      second: renamed('other'),
    });
    expect((await lastSteps(made)).at(-1)).toBe('step restart applied');
    await made.engine.setPolicy(policyOf(CRASH_POLICY), 'test');
    expect(made.engine.vms()[0]?.budgets).toMatchObject([{ name: 'crash', used: 2 }]);
  });

  it.each(['constructor', 'toString', 'valueOf'])('pays from a budget named %s', async (name) => {
    const made = await lives('panicked', undefined, undefined, { first: renamed(name) });
    expect((await lastSteps(made)).at(-1)).toBe('step restart applied');
    expect(made.engine.vms()[0]?.budgets).toMatchObject([{ name, used: 2 }]);
    const { detail } = await made.engine.operators.resetBudget('web-1', name, {
      actor: 'ops',
      reason: 'try',
      requestId: '',
    });
    expect(detail).toBe(`attempts forgotten: ${name}: 2`);
  });

  it('is already done where the guest runs', async () => {
    const made = await lives('running');
    expect((await lastSteps(made)).at(-1)).toBe('step restart already');
    expect(made.driver.boots).toBe(1);
    expect(made.engine.vms()[0]?.budgets).toMatchObject([{ name: 'crash', used: 1 }]);
  });

  it('is finished where the guest was reset but not continued, at no further charge', async () => {
    const made = await lives('prelaunch');
    expect((await lastSteps(made)).at(-1)).toBe('step restart applied');
    expect(made.engine.vms()[0]?.budgets).toMatchObject([{ name: 'crash', used: 1 }]);
  });

  it('fails where the process was seen to end and no contact will come', async () => {
    const clock = new ManualClock();
    const journal = new MemoryJournal({ now: () => clock.wallMs });
    const first = await engineBench({ clock, journal });
    engines.push(first.engine);
    await first.until('contact', () => first.engine.vms()[0]?.state === 'running');
    first.driver.answers.push(DUMPED, never);
    first.driver.panic();
    await first.until('restart under way', async () =>
      (await first.story()).includes('step restart started'),
    );
    first.driver.state = 'exited';
    first.driver.tell('VMM_EXITED', 'unknown');
    await first.until('exit', () => first.engine.vms()[0]?.state === 'exited');

    const driver = new ScriptedDriver('web-1');
    driver.silent = true;
    driver.answers.push({ kind: 'failed', reason: 'VMM_GONE', message: 'gone', proof: [] });
    const made = await engineBench({ clock, journal, driver });
    engines.push(made.engine);
    expect((await lastSteps(made)).at(-1)).toBe('step restart failed VMM_GONE');
  });

  it('is cancelled on another VMM process', async () => {
    const made = await lives('panicked', 'process-2');
    expect((await lastSteps(made)).at(-1)).toBe('step restart cancelled OTHER_PROCESS');
    expect(made.driver.calls).toEqual([]);
  });

  it('is cancelled after the host has booted', async () => {
    const made = await lives('panicked', 'process-1', 'host-boot-2');
    expect((await lastSteps(made)).at(-1)).toBe('step restart cancelled HOST_REBOOTED');
    expect(made.driver.calls).toEqual([]);
  });
});

describe('a journal that refuses', () => {
  class Refusing extends MemoryJournal {
    refuse = 0;
    override append(
      commit: Parameters<MemoryJournal['append']>[0],
    ): ReturnType<MemoryJournal['append']> {
      if (this.refuse === 0) return super.append(commit);
      this.refuse -= 1;
      const durable = Promise.reject(new Error('the disk is full'));
      durable.catch(() => undefined);
      return { first: this.next, durable };
    }
  }

  it('keeps what drivers saw until it is taken, in order, and acts only then', async () => {
    const journal = new Refusing();
    const made = await engineBench({ journal });
    engines.push(made.engine);
    await made.until('contact', () => made.engine.vms()[0]?.state === 'running');
    journal.refuse = 3;
    made.driver.tell('SUSPEND', 'guest');
    made.driver.tell('WAKEUP', 'guest');
    made.driver.panic();
    expect(made.driver.calls).toEqual([]);
    await made.until(
      'all events',
      async () => (await made.story()).filter((line) => line.startsWith('event')).length === 4,
    );
    const events = (await made.story()).filter((line) => line.startsWith('event'));
    expect(events).toEqual([
      'event 5 decided',
      'event 4 decided',
      'event CRASH decided',
      'event RESET joined',
    ]);
    expect(made.driver.calls).toEqual(['dump', 'restart']);
  });

  it('journals an outcome as soon as it can, and does not act twice meanwhile', async () => {
    const journal = new Refusing();
    const made = await engineBench({
      journal,
      onPoint: (point) => {
        if (point === 'outcome:before') journal.refuse = 2;
      },
    });
    engines.push(made.engine);
    await made.until('contact', () => made.engine.vms()[0]?.state === 'running');
    made.driver.panic();
    await made.until('outcome', async () => (await made.story()).includes('step restart applied'));
    expect(made.driver.calls).toEqual(['dump', 'restart']);
  });
});
