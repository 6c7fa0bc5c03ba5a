import { afterEach, describe, expect, it } from 'vitest';
import type { RunningEngine } from '../../src/engine/create-engine.js';
import { HOST_RELEASED_ROW } from '../../src/engine/host-hold.js';
import type { By } from '../../src/engine/operators.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import type { Outcome } from '../../src/vmm/driver.js';
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
  const made = await engineBench(options);
  engines.push(made.engine);
  await made.until('contact', () =>
    made.engine.vms().some(({ contact }) => contact === 'connected'),
  );
  return made;
};
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop(1000)));
});

const VM = 'web-1';
const by = (requestId = ''): By => ({ actor: 'ops', reason: 'to try it', requestId });
const restart = { verb: 'restart', timeoutMs: 30_000 } as const;
const dump = { verb: 'dump', timeoutMs: 30_000 } as const;

/** Nothing is open any more. */
const settled = (made: Bench) =>
  made.until('the end of what is open', () => made.engine.vm(VM).incident === '');
const steps = async (made: Bench) =>
  (await made.story()).filter((line) => /^(step|operator|decision)/.test(line));

/** A verb that comes to its end only when it is told to. */
const pending = () => {
  let end: (outcome: Outcome) => void = () => undefined;
  const outcome = new Promise<Outcome>((resolve) => {
    end = resolve;
  });
  return { outcome, end };
};

/** The first crash is restarted at once; the second waits 10 s, the third longer. */
const waiting = async (): Promise<Bench> => {
  const made = await bench();
  made.driver.panic();
  await made.until('the first restart', () => made.driver.calls.includes('restart'));
  await settled(made);
  made.driver.panic();
  await made.until('the wait', () => made.engine.vm(VM).phase === 'waiting');
  return made;
};

describe('an act that an operator asks for', () => {
  it('restarts a guest that runs, and is proven and journaled as a step of the policy is', async () => {
    const made = await bench();
    const asked = await made.engine.operators.act(VM, restart, by());
    await settled(made);
    expect(await made.story()).toEqual([
      'operator restart by ops',
      'step restart started',
      'event RESET joined',
      'step restart applied',
    ]);
    expect(made.driver.boots).toBe(2);
    expect(made.engine.vm(VM)).toMatchObject({ phase: 'well', bootEpoch: 2, budgets: [] });
    const operator = (await made.records()).find(({ sequence }) => sequence === asked.sequence);
    expect(operator?.record).toMatchObject({
      incidentId: asked.incident,
      body: { value: { actor: 'ops', reason: 'to try it', verb: 'restart' } },
    });
  });

  it('sends an NMI, and what the guest makes of it is an event of its own', async () => {
    const made = await bench();
    const { outcome, end } = pending();
    made.driver.answers.push(outcome);
    await made.engine.operators.act(VM, { verb: 'nmi', timeoutMs: 30_000 }, by());
    await made.until('the NMI', () => made.driver.calls.includes('nmi'));
    made.driver.panic();
    await made.until('the event', async () => (await made.story()).includes('event CRASH decided'));
    end({ kind: 'applied', proof: [], state: 'panicked' });
    await made.until('the restart', async () =>
      (await made.story()).includes('step restart applied'),
    );
    expect((await steps(made)).slice(0, 4)).toEqual([
      'operator nmi by ops',
      'step nmi started',
      'step nmi applied',
      'decision crashed: dump, restart',
    ]);
  });

  it('restarts in a new process where the driver can, and says why where it can not', async () => {
    const made = await bench();
    const asked = { verb: 'restartProcess', timeoutMs: 30_000 } as const;
    await made.engine.operators.act(VM, asked, by());
    await settled(made);
    expect(made.driver.calls).toEqual(['restartProcess']);
    expect(await steps(made)).toEqual([
      'operator restartProcess by ops',
      'step restart started',
      'step restart applied',
    ]);
    const { verbs } = made.driver.capabilities();
    const unable = { able: false, reason: 'NO_START_COMMAND: none' } as const;
    made.driver.capabilities = () => ({
      verbs: { ...verbs, restartProcess: unable },
      takeOver: true,
    });
    await expect(made.engine.operators.act(VM, asked, by())).rejects.toMatchObject({
      reason: 'VERB_UNSUPPORTED',
      message: expect.stringContaining('NO_START_COMMAND'),
    });
  });

  it('is done in observe mode and on a held VM too: the operator has decided', async () => {
    const made = await bench({ policy: policyOf(CRASH_POLICY.replace('enforce', 'observe')) });
    await made.engine.operators.hold(VM, by());
    await made.engine.operators.act(VM, dump, by());
    await settled(made);
    expect(made.driver.calls).toContain('dump');
  });

  it('is tried once, and a failure is told', async () => {
    const made = await bench();
    made.driver.answers.push({ kind: 'failed', reason: 'NOT_CONNECTED', message: 'x', proof: [] });
    await made.engine.operators.act(VM, dump, by());
    await settled(made);
    expect(await steps(made)).toEqual([
      'operator dump by ops',
      'step dump started',
      'step dump failed NOT_CONNECTED',
    ]);
  });

  it('is one at a time: another is told what is open', async () => {
    const made = await bench();
    const { outcome, end } = pending();
    made.driver.answers.push(outcome);
    const { incident } = await made.engine.operators.act(VM, dump, by());
    await expect(made.engine.operators.act(VM, restart, by())).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'VM_BUSY',
      detail: { metadata: { incidentId: incident } },
    });
    end({ kind: 'applied', proof: [], state: 'running' });
    await settled(made);
    const both = await Promise.allSettled([
      made.engine.operators.act(VM, dump, by()),
      made.engine.operators.act(VM, restart, by()),
    ]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await settled(made);
  });

  it('says what it can not do, before anything is journaled', async () => {
    const made = await bench();
    await made.engine.report(crashReport({ vm: 'stranger' }));
    await made.until('its answer', () => made.engine.vm('stranger').incident === '');
    const before = made.journal.status().newest;
    await expect(made.engine.operators.act('stranger', restart, by())).rejects.toMatchObject({
      reason: 'VERB_UNSUPPORTED',
    });
    await expect(made.engine.operators.act('nobody', restart, by())).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'VM_UNKNOWN',
    });
    made.driver.inspect = () => Promise.reject(new Error('no contact'));
    await expect(made.engine.operators.act(VM, restart, by())).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'VM_OUT_OF_REACH',
    });
    expect(made.journal.status().newest).toBe(before);
  });

  it('keeps no death from its answer that comes while it looks at the guest', async () => {
    const made = await bench();
    const { outcome, end } = pending();
    made.driver.answers.push(outcome);
    await made.engine.operators.act(VM, dump, by());
    await made.until('the dump', () => made.driver.calls.includes('dump'));
    made.driver.panic();
    await made.until('the event', async () => (await made.story()).includes('event CRASH decided'));
    end({ kind: 'applied', proof: [], state: 'unknown' });
    await made.until('the restart', async () =>
      (await made.story()).includes('step restart applied'),
    );
    expect(await steps(made)).toContain('decision crashed: dump, restart');
  });

  it('of an earlier life is not run blindly', async () => {
    const clock = new ManualClock();
    const journal = new MemoryJournal({ now: () => clock.wallMs });
    const made = await bench({ journal, clock });
    made.driver.answers.push(new Promise(() => undefined));
    await made.engine.operators.act(VM, restart, by());
    await made.until('the act', () => made.driver.calls.includes('restart'));
    void made.engine.stop(1);
    const driver = new ScriptedDriver(VM);
    const next = await bench({ journal, clock, driver });
    await settled(next);
    expect((await next.story()).at(-1)).toMatch(/^step restart (already|unverified|applied)/);
    expect(driver.boots).toBe(1);
  });
});

describe('calling off', () => {
  it('ends a step that waits, and its plan', async () => {
    const made = await waiting();
    const { incident } = made.engine.vm(VM);
    const before = made.driver.calls.length;
    const asked = await made.engine.operators.cancel(VM, incident, by());
    expect(asked.incident).toBe(incident);
    expect(made.engine.vm(VM)).toMatchObject({ incident: '', phase: 'down' });
    made.clock.advance(60_000);
    expect(made.driver.calls).toHaveLength(before);
    expect((await steps(made)).slice(-2)).toEqual([
      'operator cancel by ops',
      'step dump cancelled CALLED_OFF',
    ]);
  });

  it('tells a step that runs to stop, and begins none behind it', async () => {
    const made = await bench();
    let signal: AbortSignal | undefined;
    made.driver.dump = async (act) => {
      signal = act.signal;
      return new Promise((resolve) => {
        act.signal.addEventListener('abort', () =>
          resolve({ kind: 'unverified', reason: 'ABORTED', message: 'half done', proof: [] }),
        );
      });
    };
    made.driver.panic();
    await made.until('the dump', () => signal);
    await made.engine.operators.cancel(VM, '', by());
    await settled(made);
    expect((await steps(made)).slice(-2)).toEqual([
      'operator cancel by ops',
      'step dump unverified ABORTED',
    ]);
    expect(made.driver.calls).not.toContain('restart');
  });

  it('of nothing, or of another incident, is refused', async () => {
    const made = await waiting();
    await expect(made.engine.operators.cancel(VM, 'other-1', by())).rejects.toMatchObject({
      reason: 'OTHER_INCIDENT',
    });
    await made.engine.operators.cancel(VM, '', by());
    await expect(made.engine.operators.cancel(VM, '', by())).rejects.toMatchObject({
      reason: 'NOTHING_TO_CANCEL',
    });
  });
});

describe('a hold of a VM', () => {
  it('calls off what waits, and keeps the policy from acting until the release', async () => {
    const made = await waiting();
    await made.engine.operators.hold(VM, by());
    expect(made.engine.vm(VM)).toMatchObject({
      phase: 'held',
      reason: 'by ops: to try it',
      incident: '',
    });
    await expect(made.engine.operators.hold(VM, by())).rejects.toMatchObject({ reason: 'VM_HELD' });
    const { detail, incident } = await made.engine.operators.release(VM, by());
    // The guest is down still: that is answered now, not with its next event.
    expect(detail).toContain('the guest is panicked');
    expect(incident).not.toBe('');
    expect(made.engine.vm(VM)).toMatchObject({ phase: 'waiting', incident });
    await expect(made.engine.operators.release(VM, by())).rejects.toMatchObject({
      reason: 'VM_NOT_HELD',
    });
  });

  it('lets a step that runs end, and nothing behind it', async () => {
    const made = await bench();
    const { outcome, end } = pending();
    made.driver.answers.push(outcome);
    made.driver.panic();
    await made.until('the dump', () => made.driver.calls.includes('dump'));
    await made.engine.operators.hold(VM, by());
    end({ kind: 'applied', proof: [], state: 'unknown' });
    await settled(made);
    expect(made.driver.calls).not.toContain('restart');
    expect((await steps(made)).at(-1)).toBe('step dump applied');
  });

  it('lets the plan go on when it is released while the step still runs', async () => {
    const made = await bench();
    const { outcome, end } = pending();
    made.driver.answers.push(outcome);
    made.driver.panic();
    await made.until('the dump', () => made.driver.calls.includes('dump'));
    await made.engine.operators.hold(VM, by());
    const { detail } = await made.engine.operators.release(VM, by());
    expect(detail).toMatch(/^incident \S+ is open and goes on$/);
    end({ kind: 'applied', proof: [], state: 'unknown' });
    await settled(made);
    expect(made.driver.calls).toEqual(['dump', 'restart']);
  });

  it('and its release leave what was cancelled cancelled', async () => {
    const made = await bench();
    const { outcome, end } = pending();
    made.driver.answers.push(outcome);
    made.driver.panic();
    await made.until('the dump', () => made.driver.calls.includes('dump'));
    await made.engine.operators.cancel(VM, '', by());
    await made.engine.operators.hold(VM, by());
    const { detail } = await made.engine.operators.release(VM, by());
    expect(detail).toMatch(/^incident \S+ was cancelled by ops and ends with the step/);
    end({ kind: 'applied', proof: [], state: 'unknown' });
    await settled(made);
    expect(made.driver.calls).toEqual(['dump']);
  });

  it('is found by the next contact when its VMM was out of reach at the release', async () => {
    const made = await bench();
    await made.engine.operators.hold(VM, by());
    made.driver.panic();
    await made.until('the decision', async () => (await steps(made)).length === 2);
    made.driver.inspect = () => Promise.reject(new Error('no contact'));
    const { detail } = await made.engine.operators.release(VM, by());
    expect(detail).toContain('out of reach');
    expect(made.driver.watch?.lastSeen()).toMatchObject({ state: 'unknown' });
  });

  it('of a guest that runs leaves it alone at the release', async () => {
    const made = await bench();
    await made.engine.operators.hold(VM, by());
    const { detail } = await made.engine.operators.release(VM, by());
    expect(detail).toBe('the guest is running; its next event is answered');
    expect(made.driver.calls).toEqual([]);
  });
});

describe('a hold of the host', () => {
  it('whose end of a waiting step the journal refused ends no other step in its place', async () => {
    const journal = new MemoryJournal();
    const made = await bench({ journal });
    made.driver.panic();
    await made.until('the first restart', () => made.driver.calls.includes('restart'));
    await settled(made);
    made.driver.panic();
    await made.until('the wait', () => made.engine.vm(VM).phase === 'waiting');
    // The hold's own record is the next; the outcome of what it calls off comes behind it.
    journal.failAt(journal.next + 1);
    await made.engine.operators.holdHost(by());
    await made.until('the refusal', () => made.health.has(`vm ${VM}`));
    journal.failAt(0);
    // The outcome is written again soon, by when this has usually ended what it was of.
    await made.engine.operators.cancel(VM, '', by()).catch(() => undefined);
    const { outcome, end } = pending();
    made.driver.answers.push(outcome);
    const { incident } = await made.engine.operators.act(VM, dump, by());
    await made.until('the journal', () => !made.health.has(`vm ${VM}`));
    expect(made.engine.vm(VM).incident).toBe(incident);
    end({ kind: 'applied', proof: [], state: 'unknown' });
    await settled(made);
    expect((await steps(made)).at(-1)).toBe('step dump applied');
  });

  it('calls off what waits, is said by each decision, and outlives vmwarden', async () => {
    const clock = new ManualClock();
    const journal = new MemoryJournal({ now: () => clock.wallMs });
    const made = await bench({ journal, clock });
    made.driver.panic();
    await made.until('the restart', () => made.driver.calls.includes('restart'));
    await settled(made);
    made.driver.panic();
    await made.until('the wait', () => made.engine.vm(VM).phase === 'waiting');
    await made.engine.operators.holdHost(by());
    await settled(made);
    expect((await steps(made)).at(-1)).toBe('step dump cancelled HOST_HELD');
    await expect(made.engine.operators.holdHost(by())).rejects.toMatchObject({
      reason: 'HOST_HELD',
    });
    await made.engine.stop(100);

    const driver = new ScriptedDriver(VM);
    const next = await bench({ journal, clock, driver });
    expect(next.engine.operators.hostHold()).toMatchObject({ actor: 'ops', reason: 'to try it' });
    driver.panic();
    const decision = await next.until('the decision', async () =>
      (await next.records()).findLast(({ record }) => record.body?.$case === 'decision'),
    );
    await next.until('another', async () => {
      const last = (await next.records()).findLast(
        ({ record }) => record.body?.$case === 'decision',
      );
      const value = last?.record.body?.$case === 'decision' ? last.record.body.value : undefined;
      return decision !== undefined && value?.reasons.some((text) => text.includes('host is held'));
    });
    expect(driver.calls).toEqual([]);

    clock.advance(3_600_000);
    await next.engine.operators.releaseHost(by());
    await next.until('the answer', () => driver.calls.includes('restart'));
    await expect(next.engine.operators.releaseHost(by())).rejects.toMatchObject({
      reason: 'HOST_NOT_HELD',
    });
  });
});

describe('a release of the host that was killed', () => {
  const VMS = [VM, 'web-2'];
  const benchOf = (
    drivers: readonly ScriptedDriver[],
    clock: ManualClock,
    journal: MemoryJournal,
  ) =>
    bench({
      journal,
      clock,
      vms: drivers.map((driver, at) => ({ id: VMS[at] ?? '', uid: '', driver, takeOver: false })),
    });

  /** Held, both guests down and answered with nothing, one held itself, and released by a life that got no further. */
  const killed = async () => {
    const clock = new ManualClock();
    const journal = new MemoryJournal({ now: () => clock.wallMs });
    const drivers = VMS.map((vm) => new ScriptedDriver(vm));
    const made = await benchOf(drivers, clock, journal);
    await made.engine.operators.holdHost(by());
    for (const driver of drivers) driver.panic();
    await made.until('the answers', async () => (await steps(made)).length === 3);
    await made.engine.operators.hold('web-2', by());
    for (const driver of drivers) driver.inspect = () => new Promise(() => undefined);
    await made.engine.operators.releaseHost(by());
    return { clock, journal };
  };

  /** As drivers do: tells on contact of a guest that is down, unless it was seen so before. */
  const downDrivers = () =>
    VMS.map((vm) => {
      const driver = new ScriptedDriver(vm);
      const connect = driver.connect.bind(driver);
      driver.state = 'panicked';
      driver.connect = () => {
        const seen = driver.watch?.lastSeen()?.state;
        connect();
        if (seen !== driver.state) driver.tell('CRASH', 'guest', 'pause', true);
      };
      return driver;
    });

  it('is gone on with by the next life: what is down is answered, once, but for what is held itself', async () => {
    const { clock, journal } = await killed();
    const drivers = downDrivers();
    const next = await benchOf(drivers, clock, journal);
    await next.until('the restart', async () =>
      (await next.story()).includes('step restart applied'),
    );
    await settled(next);
    expect(drivers.map(({ calls }) => calls)).toEqual([['dump', 'restart'], []]);
    expect(journal.lookup(HOST_RELEASED_ROW)).toBeUndefined();
  });

  it('leaves nothing to do where it was held again, or was whole', async () => {
    const { clock, journal } = await killed();
    expect(journal.lookup(HOST_RELEASED_ROW)).toBeDefined();
    const next = await benchOf(
      VMS.map((vm) => new ScriptedDriver(vm)),
      clock,
      journal,
    );
    await next.engine.operators.holdHost(by());
    expect(journal.lookup(HOST_RELEASED_ROW)).toBeUndefined();
    await next.engine.operators.releaseHost(by());
    await next.until('its end', () => journal.lookup(HOST_RELEASED_ROW) === undefined);
  });
});

describe('a budget that is reset', () => {
  it('forgets its attempts, so that the next restart is at once', async () => {
    const made = await waiting();
    await made.engine.operators.cancel(VM, '', by());
    expect(made.engine.outlook(VM, 'crash')?.delayMs).toBeGreaterThan(0);
    const { detail } = await made.engine.operators.resetBudget(VM, 'crash', by());
    expect(detail).toBe('attempts forgotten: crash: 1');
    expect(made.engine.outlook(VM, 'crash')).toEqual({ freeAtMs: null, delayMs: 0 });
    expect(made.engine.vm(VM).budgets).toEqual([]);
    await expect(made.engine.operators.resetBudget(VM, 'none', by())).rejects.toMatchObject({
      code: 'NOT_FOUND',
      reason: 'BUDGET_UNKNOWN',
    });
  });
});

describe('a request id', () => {
  it('gives a repeat the first answer: under way, later, and in the next life', async () => {
    const clock = new ManualClock();
    const journal = new MemoryJournal({ now: () => clock.wallMs });
    const made = await bench({ journal, clock });
    const [first, second] = await Promise.all([
      made.engine.operators.act(VM, dump, by('r-1')),
      made.engine.operators.act(VM, dump, by('r-1')),
    ]);
    await settled(made);
    const third = await made.engine.operators.act(VM, dump, by('r-1'));
    expect([first.repeat, second.repeat, third.repeat]).toEqual([false, true, true]);
    expect(third).toMatchObject({ sequence: first.sequence, incident: first.incident });
    expect(made.driver.calls).toEqual(['dump']);
    await made.engine.stop(100);
    const next = await bench({ journal, clock });
    const fourth = await next.engine.operators.act(VM, dump, by('r-1'));
    expect(fourth).toMatchObject({ sequence: first.sequence, repeat: true });
    expect(next.driver.calls).toEqual([]);
  });

  it('with another request is a conflict', async () => {
    const made = await bench();
    await made.engine.operators.hold(VM, by('r-1'));
    for (const other of [
      () => made.engine.operators.release(VM, by('r-1')),
      () => made.engine.operators.hold(VM, { ...by('r-1'), reason: 'another' }),
      () => made.engine.operators.holdHost(by('r-1')),
    ]) {
      await expect(other()).rejects.toMatchObject({ reason: 'REQUEST_CONFLICT' });
    }
  });

  it('of a request that was refused may be used again', async () => {
    const made = await bench();
    await expect(made.engine.operators.release(VM, by('r-1'))).rejects.toMatchObject({
      reason: 'VM_NOT_HELD',
    });
    await made.engine.operators.hold(VM, by());
    expect((await made.engine.operators.release(VM, by('r-1'))).repeat).toBe(false);
  });
});
