import { afterEach, describe, expect, it } from 'vitest';
import type { RunningEngine } from '../../src/engine/create-engine.js';
import type { Policy } from '../../src/policy/policy.js';
import type { Outcome, TakeOver } from '../../src/vmm/driver.js';
import {
  type Bench,
  CRASH_POLICY,
  crashReport,
  engineBench,
  policyOf,
} from '../support/engine-bench.js';
import { ScriptedDriver } from '../support/scripted-driver.js';

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

/** Nothing is open any more, and it is durable. */
const settled = (made: Bench) =>
  made.until('the end of the incident', async () => {
    const steps = (await made.story()).filter((line) => line.startsWith('step'));
    return steps.length > 0 && made.engine.vms()[0]?.incident === '';
  });

/** Restarts are delayed from the second attempt on; tests that need none of that use this. */
const UNHURRIED = policyOf(CRASH_POLICY.replace('base: 10s', 'base: 0s'));

describe('one way through', () => {
  it('of a plan that only holds names its incident in each record', async () => {
    const held = CRASH_POLICY.replace(/do: \[dump.*\]/, 'do: [hold]');
    expect(held).not.toBe(CRASH_POLICY);
    const made = await bench({ policy: policyOf(held) });
    made.driver.panic();
    await made.until('the hold', () => made.engine.vm('web-1').phase === 'held');
    const records = (await made.records()).map(({ record }) => record);
    const of = records.filter(({ body }) =>
      ['event', 'decision', 'step'].includes(body?.$case ?? ''),
    );
    expect(of.map(({ body }) => body?.$case)).toEqual(['event', 'decision', 'step']);
    const ids = new Set(of.map(({ incidentId }) => incidentId));
    expect([...ids]).toEqual([expect.stringMatching(/^.{8}-\d+$/)]);
  });

  it('answers a panic with dump and restart, each intent before its act', async () => {
    const made = await bench();
    made.driver.panic();
    await made.until('restart', async () => (await made.story()).includes('step restart applied'));
    await settled(made);
    expect(await made.story()).toEqual([
      'event CRASH decided',
      'decision crashed: dump, restart',
      'step dump started',
      'step dump applied',
      'step restart started',
      'event RESET joined',
      'step restart applied',
    ]);
    expect(made.engine.vms()[0]).toMatchObject({ bootEpoch: 2, phase: 'well', state: 'running' });
    expect(made.engine.vms()[0]?.budgets).toMatchObject([{ name: 'crash', used: 1 }]);
  });

  it('journals event, decision and first intent in one commit', async () => {
    const made = await bench();
    const commits: number[] = [];
    made.journal.onDurable((newest) => commits.push(newest));
    const before = made.journal.status().newest;
    made.driver.panic();
    await settled(made);
    expect(commits[0]).toBe(before + 3);
  });

  it('only records in observe mode, and says what it would have done', async () => {
    const made = await bench({ policy: policyOf(CRASH_POLICY.replace('enforce', 'observe')) });
    made.driver.panic();
    await made.until('decision', async () => (await made.story()).length === 2);
    expect(await made.story()).toEqual(['event CRASH decided', 'decision crashed: dump, restart']);
    expect(made.driver.calls).toEqual([]);
  });

  it('never acts on a VM that it does not drive', async () => {
    const made = await bench();
    await made.engine.report(crashReport({ vm: 'stranger' }));
    await made.until('outcome', async () =>
      (await made.story()).includes('step restart unsupported OBSERVE_ONLY'),
    );
    expect(made.driver.calls).toEqual([]);
    expect(made.engine.vms().find(({ id }) => id === 'stranger')?.budgets).toEqual([]);
  });
});

describe('repeats', () => {
  const keyed = crashReport({
    event: { ...crashReport().event, type: 'WAKEUP' },
    key: { kind: 'request', requestId: 'r-1' },
  });

  it('gives a repeat the first answer, under way and later', async () => {
    const made = await bench();
    const [first, second] = await Promise.all([
      made.engine.report(keyed),
      made.engine.report(keyed),
    ]);
    const third = await made.engine.report(keyed);
    expect([first.repeat, second.repeat, third.repeat]).toEqual([false, true, true]);
    expect(new Set([first.sequence, second.sequence, third.sequence]).size).toBe(1);
    expect((await made.story()).filter((line) => line.startsWith('event'))).toHaveLength(1);
  });

  it('refuses other content under the same key', async () => {
    const made = await bench();
    await made.engine.report(keyed);
    await expect(made.engine.report({ ...keyed, initiator: 'host' })).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      reason: 'REQUEST_CONFLICT',
    });
  });

  it('folds what comes above the rate into one record, and acknowledges all of it', async () => {
    const made = await bench();
    const report = crashReport({ event: { ...crashReport().event, type: 'WAKEUP' }, vm: 'noisy' });
    const receipts = Promise.all(Array.from({ length: 500 }, () => made.engine.report(report)));
    made.clock.advance(100);
    const sequences = new Set((await receipts).map(({ sequence }) => sequence));
    expect(sequences.size).toBe(51);
    const events = (await made.records()).filter(({ record }) => record.body?.$case === 'event');
    const counts = events.map(({ record }) =>
      record.body?.$case === 'event' ? record.body.value.count || 1 : 0,
    );
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(500);
  });
});

describe('one incident', () => {
  it('takes in what other origins tell of the same death', async () => {
    const made = await bench();
    made.driver.panic();
    await settled(made);
    const receipt = await made.engine.report(crashReport());
    expect(receipt.disposition).toBe('joined');
    expect(made.driver.calls).toEqual(['dump', 'restart']);
  });

  it('answers a death of the next boot after the incident has closed', async () => {
    let made: Bench | undefined;
    let again = true;
    made = await bench({
      policy: UNHURRIED,
      onPoint: (point) => {
        // The guest dies again before the restart's outcome is journaled.
        if (point === 'outcome:before' && made?.driver.calls.at(-1) === 'restart' && again) {
          again = false;
          made.driver.panic();
        }
      },
    });
    made.driver.panic();
    await made.until(
      'second restart',
      async () => made?.driver.calls.join() === 'dump,restart,dump,restart',
    );
    await settled(made);
    expect((await made.story()).filter((line) => line === 'step restart applied')).toHaveLength(2);
    expect(made.engine.vms()[0]?.bootEpoch).toBe(3);
  });

  it('keeps all that a later boot has to say until the incident closes', async () => {
    let release: (outcome: Outcome) => void = () => undefined;
    const made = await bench({ policy: UNHURRIED });
    made.driver.answers.push(
      new Promise((resolve) => {
        release = resolve;
      }),
    );
    made.driver.panic();
    await made.until('dump under way', () => made.driver.calls.includes('dump'));
    made.driver.tell('RESET', 'guest');
    made.driver.panic();
    made.driver.tell('VMM_ERROR', 'unknown');
    made.driver.tell('SUSPEND', 'guest');
    release({ kind: 'applied', proof: [], state: 'panicked' });
    await made.until(
      'the second answer',
      async () =>
        (await made.story()).filter((line) => line === 'decision crashed: dump, restart').length ===
        2,
    );
    await made.until('all answers', async () =>
      (await made.story()).includes('decision otherwise: '),
    );
    const events = (await made.story()).filter((line) => line.startsWith('event'));
    expect(events.slice(0, 5)).toEqual([
      'event CRASH decided',
      'event RESET joined',
      'event CRASH decided',
      'event VMM_ERROR joined',
      'event 5 decided',
    ]);
  });

  it('joins the RESETs of one boot and lets them inherit their initiator', async () => {
    const made = await bench();
    made.driver.tell('RESET', 'guest');
    made.driver.tell('RESET', 'guest');
    made.driver.tell('RESET', 'guest');
    await made.until(
      'events',
      async () => (await made.story()).filter((line) => line.startsWith('event')).length === 3,
    );
    expect((await made.story()).filter((line) => line.startsWith('event'))).toEqual([
      'event RESET decided',
      'event RESET burst',
      'event RESET burst',
    ]);
    expect(made.engine.vms()[0]?.bootEpoch).toBe(2);
    made.clock.advance(251);
    made.driver.tell('RESET', 'guest');
    await made.until('next boot', () => made.engine.vms()[0]?.bootEpoch === 3);
  });

  it('records an event of an older boot and never acts on it', async () => {
    const made = await bench();
    const wakeup = { ...crashReport().event, type: 'WAKEUP' as const };
    await made.engine.report(crashReport({ event: wakeup, bootId: 'boot-a' }));
    await made.engine.report(crashReport({ event: wakeup, bootId: 'boot-b' }));
    const late = await made.engine.report(crashReport({ bootId: 'boot-a' }));
    expect(late.disposition).toBe('olderBoot');
    expect(made.driver.calls).toEqual([]);
  });

  it('acts on a report without a boot id only when the VMM shows what it speaks of', async () => {
    const made = await bench();
    await made.engine.report(crashReport({ bootId: null }));
    await made.until('outcome', async () =>
      (await made.story()).includes('step dump cancelled STATE_DISAGREES'),
    );
    await settled(made);
    expect(made.driver.calls).toEqual([]);
    expect(made.engine.vms()[0]?.budgets).toEqual([]);
  });
});

describe('budgets', () => {
  it('charges attempts, waits, then answers as the rule says for an exhausted one', async () => {
    const made = await bench();
    for (const restarts of [1, 2, 3]) {
      made.driver.panic();
      if (restarts > 1) {
        await made.until('a wait', () => made.engine.vms()[0]?.phase === 'waiting');
        made.clock.advance(60_000);
        await made.engine.setPolicy(policyOf(CRASH_POLICY), 'test');
      }
      await made.until(
        'restart',
        () => made.driver.calls.filter((call) => call === 'restart').length === restarts,
      );
      await settled(made);
    }
    made.driver.panic();
    await made.until('hold', () => made.engine.vms()[0]?.phase === 'held');
    expect(made.driver.calls.filter((call) => call === 'restart')).toHaveLength(3);
    expect(made.driver.calls.at(-1)).toBe('powerOff');
    await made.engine.operators.release('web-1', {
      actor: 'ops',
      reason: 'looked at it',
      requestId: '',
    });
    expect((await made.story()).at(-1)).toBe('operator release by ops');
    expect(made.engine.vms()[0]?.phase).toBe('well');
  });

  it('gives the attempt back when nothing could be done', async () => {
    const made = await bench();
    const unsupported = {
      kind: 'unsupported',
      reason: 'MIGRATING',
      message: 'migrating',
      proof: [],
    } as const;
    made.driver.answers.push(unsupported, unsupported);
    made.driver.panic();
    await made.until('outcome', async () =>
      (await made.story()).includes('step restart unsupported MIGRATING'),
    );
    await settled(made);
    expect(made.engine.vms()[0]?.budgets).toEqual([]);
  });
});

describe('waiting steps', () => {
  it('lapse when the policy turns to observe', async () => {
    const made = await bench();
    made.driver.panic();
    await settled(made);
    made.driver.panic();
    await made.until('a wait', () => made.engine.vms()[0]?.phase === 'waiting');
    await made.engine.setPolicy(policyOf(CRASH_POLICY.replace('enforce', 'observe')), 'test');
    await made.until('cancelled', async () =>
      (await made.story()).includes('step dump cancelled POLICY_OBSERVES'),
    );
    expect(made.driver.calls.filter((call) => call === 'restart')).toHaveLength(1);
  });
});

describe('warnings', () => {
  const warningsOf = async (started: TakeOver | null, takeOver: boolean, policy?: Policy) => {
    const driver = new ScriptedDriver('web-1');
    driver.startedToWait = started;
    const vms = [{ id: 'web-1', uid: '', driver, takeOver }];
    const made = await bench({ driver, vms, ...(policy !== undefined && { policy }) });
    return made.engine.vms()[0]?.warnings ?? [];
  };
  const NOTHING = { panic: false, shutdown: false, watchdog: false };

  it('name the rules that a VMM which waits for nobody leaves without effect, and what to do', async () => {
    const warnings = await warningsOf(NOTHING, false);
    expect(warnings.join('\n')).toContain('Rule "crashed" (line 12)');
    expect(warnings.join('\n')).toContain('-action panic=pause');
    expect(warnings.join('\n')).not.toContain('asked to stop');
  });

  it('are none where the VMM was started to wait, where vmwarden takes over, or in observe mode', async () => {
    expect(await warningsOf({ panic: true, shutdown: true, watchdog: true }, false)).toEqual([]);
    expect(await warningsOf(NOTHING, true)).toEqual([]);
    const observe = policyOf(CRASH_POLICY.replace('enforce', 'observe'));
    expect(await warningsOf(NOTHING, false, observe)).toEqual([]);
  });

  it('say so where the command line could not be read', async () => {
    expect((await warningsOf(null, false))[0]).toMatch(/^Unless its VMM was started so/);
  });
});
