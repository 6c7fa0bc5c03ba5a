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

const engines: RunningEngine[] = [];
const bench = async (options: Parameters<typeof engineBench>[0] = {}): Promise<Bench> => {
  const made = await engineBench(options);
  engines.push(made.engine);
  await made.until('contact', () => made.engine.vms().some(({ state }) => state === 'running'));
  return made;
};
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop(1000)));
});

/** Restarts are delayed from the second attempt on; not by this one. */
const UNHURRIED = policyOf(CRASH_POLICY.replace('base: 10s', 'base: 0s'));

const settled = (made: Bench) =>
  made.until('the end of the incident', () => made.engine.vms()[0]?.incident === '');
const restarts = (made: Bench) => made.driver.calls.filter((call) => call === 'restart').length;

describe('a report before the death that a driver sees', () => {
  it.each([
    ['was called off', { bootId: null }],
    ['was an operator’s', { initiator: 'operator' }],
    ['was too old', { occurredAtMs: 0 }],
  ] as const)('that %s keeps no panic from its answer', async (_why, over) => {
    const made = await bench();
    await made.engine.report(crashReport(over));
    await settled(made);
    made.driver.panic();
    await made.until('the restart', async () =>
      (await made.story()).includes('step restart applied'),
    );
  });
});

describe('a report of a death that a driver has answered', () => {
  it('joins it, also with a boot id never heard of, death after death', async () => {
    const made = await bench({ policy: UNHURRIED });
    for (const death of [1, 2, 3]) {
      made.driver.panic();
      await made.until('the restart', () => restarts(made) === death);
      await settled(made);
      const late = await made.engine.report(crashReport({ bootId: `boot-${death}` }));
      expect(late.disposition).toBe('joined');
    }
    expect(restarts(made)).toBe(3);
  });

  it('is called off when it comes too late to be known as that', async () => {
    const made = await bench({ policy: UNHURRIED });
    made.driver.panic();
    await made.until('the restart', async () =>
      (await made.story()).includes('step restart applied'),
    );
    await settled(made);
    made.clock.advance(6_000);
    await made.engine.report(crashReport({ bootId: 'of the boot before' }));
    await made.until('called off', async () =>
      (await made.story()).includes('step dump cancelled STATE_DISAGREES'),
    );
    expect(restarts(made)).toBe(1);
  });
});

describe('a reporter’s uid', () => {
  it('never makes a VM anew that its operator has named', async () => {
    const made = await bench();
    made.driver.panic();
    await made.until('the restart', async () =>
      (await made.story()).includes('step restart applied'),
    );
    await settled(made);
    for (const uid of ['a', 'b', 'c']) await made.engine.report(crashReport({ uid }));
    expect(made.engine.vms()[0]).toMatchObject({ uid: '', budgets: [{ used: 1 }] });
  });
});

describe('a VMM out of reach', () => {
  it('lets a step wait for contact instead of failing it', async () => {
    const made = await bench();
    made.driver.disconnect();
    await made.until('no contact', () => made.engine.vms()[0]?.contact === 'lost');
    await made.engine.report(crashReport());
    await made.until('a wait', () => made.engine.vms()[0]?.phase === 'waiting');
    expect(made.driver.calls).toEqual([]);
    made.driver.state = 'panicked';
    made.driver.connect(false);
    await made.until('the restart', async () =>
      (await made.story()).includes('step restart applied'),
    );
  });

  it('is tried again when it was silent, and the guest untouched', async () => {
    const made = await bench();
    const silent = { kind: 'failed', reason: 'VMM_SILENT', message: 'silent', proof: [] } as const;
    made.driver.answers.push({ kind: 'applied', proof: [], state: 'panicked' }, silent);
    made.driver.panic();
    await made.until('the first try', async () =>
      (await made.story()).includes('step restart failed VMM_SILENT'),
    );
    made.clock.advance(30_000);
    await made.engine.setPolicy(made.policy, 'test');
    await made.until('the second', async () =>
      (await made.story()).includes('step restart applied'),
    );
    expect(made.engine.vms()[0]?.budgets).toMatchObject([{ used: 1 }]);
  });
});

describe('floods', () => {
  it('of reports do not hold up the driver’s own events', async () => {
    const made = await bench();
    const reset = { ...crashReport().event, type: 'RESET' as const };
    const flood = Array.from({ length: 300 }, (_, index) =>
      made.engine.report(crashReport({ event: reset, bootId: `b${index}` })).catch(() => undefined),
    );
    made.driver.panic();
    await made.until('the restart', () => restarts(made) === 1);
    const ticking = setInterval(() => made.clock.advance(100), 1);
    await Promise.all(flood);
    clearInterval(ticking);
  });

  it('of different reports are never folded into one another: refused, or journaled as they are', async () => {
    const made = await bench();
    const wakeup = { ...crashReport().event, type: 'WAKEUP' as const };
    const answers = Array.from({ length: 300 }, (_, index) =>
      made.engine
        .report(crashReport({ vm: 'noisy', event: { ...wakeup, data: [BigInt(index)] } }))
        .then(
          ({ event }) => event.data[0] === BigInt(index),
          (error: { reason?: string }) => error.reason,
        ),
    );
    const clock = setInterval(() => made.clock.advance(100), 1);
    const seen = new Set(await Promise.all(answers));
    clearInterval(clock);
    expect([...seen].sort()).toEqual(['TOO_MANY_EVENTS', true]);
  });

  it('of a driver’s events leave no keys behind', async () => {
    const journal = new MemoryJournal();
    const made = await bench({ journal });
    for (let count = 0; count < 20; count += 1) made.driver.tell('WAKEUP', 'guest', 'run');
    await made.until(
      'the events',
      async () => (await made.story()).filter((line) => line.startsWith('event')).length >= 20,
    );
    expect(await journal.rows('key/')).toEqual([]);
  });

  it('that the journal refused for a while are caught up with at once, the newest first of all kept', async () => {
    const clock = new ManualClock();
    const journal = new MemoryJournal({ now: () => clock.wallMs });
    const made = await bench({ journal, clock });
    journal.refuseIngest(true);
    for (let count = 0; count < 1_500; count += 1) made.driver.tell('RESET', 'guest', 'run');
    made.driver.panic();
    journal.refuseIngest(false);
    const ticking = setInterval(() => clock.advance(100), 1);
    await made.until('the restart', () => restarts(made) === 1);
    clearInterval(ticking);
  });
});
