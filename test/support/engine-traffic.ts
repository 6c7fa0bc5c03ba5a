import fc from 'fast-check';
import { type RunningEngine, startEngine } from '../../src/engine/create-engine.js';
import type { EventType } from '../../src/event/event-type.js';
import type { EventReport, Initiator } from '../../src/event/report.js';
import { vmmEvent } from '../../src/event/vmm-event.js';
import type { Journal } from '../../src/journal/journal.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import { Fault } from '../../src/lib/fault.js';
import type { Logger } from '../../src/lib/logger.js';
import type { Policy } from '../../src/policy/policy.js';
import type { Outcome } from '../../src/vmm/driver.js';
import { createObserveDriver } from '../../src/vmm/observe/driver.js';
import { JumpingClock } from './jumping-clock.js';
import { ScriptedDriver } from './scripted-driver.js';

/** What a test lets happen to a host: guests, reporters, VMMs, clocks, an operator, and vmwarden itself. */
export type Happening =
  | { readonly kind: 'panic'; readonly vm: number }
  | {
      readonly kind: 'tell';
      readonly vm: number;
      readonly type: EventType;
      readonly initiator: Initiator;
    }
  | {
      readonly kind: 'report';
      readonly vm: number;
      readonly type: EventType;
      readonly boot: string | null;
      readonly uid: string;
      readonly ageMs: number | null;
    }
  | { readonly kind: 'flood'; readonly vm: number; readonly count: number }
  | {
      readonly kind: 'answer';
      readonly vm: number;
      readonly outcome: 'failed' | 'unsupported' | 'hang';
    }
  | { readonly kind: 'contact'; readonly vm: number; readonly continuous: boolean }
  | { readonly kind: 'lose'; readonly vm: number }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'step'; readonly ms: number }
  | { readonly kind: 'restart'; readonly reboot: boolean; readonly otherProcess: boolean }
  | { readonly kind: 'release'; readonly vm: number }
  | { readonly kind: 'operator'; readonly vm: number; readonly verb: Verb }
  | { readonly kind: 'settle' }
  /** Until nothing is open any more, and all of it is durable. */
  | { readonly kind: 'quiet' };

/** What operators ask for beside a release. */
const VERBS = [
  'restart',
  'restartProcess',
  'dump',
  'nmi',
  'cancel',
  'hold',
  'resetBudget',
  'holdHost',
  'releaseHost',
] as const;
type Verb = (typeof VERBS)[number];
const BY = { actor: 'a test', reason: 'goes on', requestId: '' };

const VMS = 3;
const vm = fc.nat({ max: VMS - 1 });
const type = fc.constantFrom<EventType>(
  'CRASH',
  'RESET',
  'CRASH_LOADED',
  'SHUTDOWN',
  'WATCHDOG',
  'VMM_ERROR',
  'VMM_EXITED',
  'SUSPEND',
);

export const happenings: fc.Arbitrary<readonly Happening[]> = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.record({ kind: fc.constant('panic' as const), vm }) },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('tell' as const),
        vm,
        type,
        initiator: fc.constantFrom<Initiator>('guest', 'host', 'unknown'),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('report' as const),
        vm: fc.nat({ max: VMS }),
        type,
        boot: fc.constantFrom('a', 'b', null),
        uid: fc.constantFrom('', 'u-1', 'u-2'),
        ageMs: fc.constantFrom(null, 0, 900_000),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('flood' as const),
        vm: fc.nat({ max: VMS }),
        count: fc.integer({ min: 55, max: 90 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('answer' as const),
        vm,
        outcome: fc.constantFrom('failed' as const, 'unsupported' as const, 'hang' as const),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('contact' as const), vm, continuous: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), vm }) },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('pass' as const),
        ms: fc.constantFrom(30, 300, 6_000, 700_000, 3_700_000),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('step' as const),
        ms: fc.constantFrom(-7_200_000, -1_000, 5_000_000),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('restart' as const),
        reboot: fc.boolean(),
        otherProcess: fc.boolean(),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('release' as const), vm }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('operator' as const),
        vm,
        verb: fc.constantFrom(...VERBS),
      }),
    },
    { weight: 8, arbitrary: fc.constant({ kind: 'settle' as const }) },
  ),
  { minLength: 10, maxLength: 60 },
);

const never = new Promise<Outcome>(() => undefined);
const ANSWERS: { readonly [kind: string]: Outcome } = {
  failed: { kind: 'failed', reason: 'TEST', message: 'so it shall be', proof: [] },
  unsupported: { kind: 'unsupported', reason: 'TEST', message: 'so it shall be', proof: [] },
};

const quiet: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => quiet,
};

/** Runs a real engine through all that happens, and gives the journal that it leaves, by default one in memory. */
export const journalOf = async (
  policy: Policy,
  all: readonly Happening[],
  journal: Journal = new MemoryJournal(),
): Promise<Journal> => {
  const clock = new JumpingClock();
  let process = 1;
  let drivers = Array.from({ length: VMS }, (_, index) => new ScriptedDriver(`vm-${index}`, 'p1'));
  let open = ownedJournal(journal);
  const start = (): Promise<RunningEngine> =>
    startEngine({
      journal: open.journal,
      clock,
      policy,
      policySource: 'test',
      vms: drivers.map((driver, index) => ({
        id: `vm-${index}`,
        uid: index === 0 ? 'u-1' : '',
        labels: index === 1 ? { tier: 'scratch' } : {},
        driver,
        takeOver: false,
      })),
      observer: createObserveDriver(),
      dumpTarget: async (id, incident) => ({ path: `/dumps/${id}/${incident}` }),
      log: quiet,
      health: { up: () => undefined, degraded: () => undefined },
    });
  let engine = await start();
  const report = (one: EventReport): Promise<unknown> => engine.report(one).catch(() => undefined);

  const happen = async (one: Happening): Promise<void> => {
    switch (one.kind) {
      case 'panic':
        drivers[one.vm]?.panic();
        return;
      case 'tell':
        drivers[one.vm]?.tell(one.type, one.initiator);
        return;
      case 'report':
        await report({
          ...said(`vm-${one.vm}`, one.type),
          uid: one.uid,
          bootId: one.boot,
          occurredAtMs: one.ageMs === null ? null : clock.now().wallMs - one.ageMs,
        });
        return;
      case 'flood':
        await Promise.race([
          Promise.all(
            Array.from({ length: one.count }, () => report(said(`vm-${one.vm}`, 'WAKEUP'))),
          ),
          settled(20),
        ]);
        return;
      case 'answer': {
        const answer = one.outcome === 'hang' ? never : ANSWERS[one.outcome];
        if (answer !== undefined) drivers[one.vm]?.answers.push(answer);
        return;
      }
      case 'contact':
        drivers[one.vm]?.connect(one.continuous);
        return;
      case 'lose':
        drivers[one.vm]?.disconnect();
        return;
      case 'pass':
        clock.pass(one.ms);
        return;
      case 'step':
        clock.step(one.ms);
        return;
      case 'restart':
        await ended(engine, journal, open.close);
        open = ownedJournal(journal);
        if (one.reboot) clock.reboot();
        if (one.otherProcess) process += 1;
        drivers = drivers.map((old, index) => {
          const driver = new ScriptedDriver(`vm-${index}`, `p${process}`);
          driver.state = one.otherProcess ? 'running' : old.state;
          return driver;
        });
        engine = await start();
        return;
      case 'release':
        await engine.operators.release(`vm-${one.vm}`, BY).catch(() => undefined);
        return;
      case 'operator': {
        const { operators } = engine;
        const of = `vm-${one.vm}`;
        const asked = {
          restart: () => operators.act(of, { verb: 'restart', timeoutMs: 1_000 }, BY),
          dump: () => operators.act(of, { verb: 'dump', timeoutMs: 1_000 }, BY),
          restartProcess: () => operators.act(of, { verb: 'restartProcess', timeoutMs: 1_000 }, BY),
          nmi: () => operators.act(of, { verb: 'nmi', timeoutMs: 1_000 }, BY),
          cancel: () => operators.cancel(of, '', BY),
          hold: () => operators.hold(of, BY),
          resetBudget: () => operators.resetBudget(of, '', BY),
          holdHost: () => operators.holdHost(BY),
          releaseHost: () => operators.releaseHost(BY),
        };
        await asked[one.verb]().catch(() => undefined);
        return;
      }
      case 'settle':
        await settled(15);
        return;
      case 'quiet':
        await quietOf(engine, journal);
    }
  };
  for (const one of all) await happen(one);
  await settled(15);
  await ended(engine, journal, open.close);
  return journal;
};

/** The journal as one life of vmwarden has it open: once closed, it writes nothing more. */
const ownedJournal = (journal: Journal): { journal: Journal; close: () => void } => {
  let closed = false;
  const append: Journal['append'] = (commit) => {
    if (!closed) return journal.append(commit);
    const durable = Promise.reject(new Fault('UNAVAILABLE', 'JOURNAL_CLOSED', 'closed'));
    durable.catch(() => undefined);
    return { first: journal.next, durable };
  };
  const owned = new Proxy(journal, {
    get: (target, name) => {
      if (name === 'append') return append;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return {
    journal: owned,
    close: () => {
      closed = true;
    },
  };
};

/** As far as it comes in a moment: what hangs is left to the next life. All that it wrote is durable. */
const ended = async (engine: RunningEngine, journal: Journal, close: () => void): Promise<void> => {
  await engine.stop(20);
  close();
  await journal.append({ kind: 'outcome', records: [], rows: [] }).durable;
};

const QUIET_DEADLINE_MS = 20_000;

const quietOf = async (engine: RunningEngine, journal: Journal): Promise<void> => {
  const deadline = performance.now() + QUIET_DEADLINE_MS;
  for (let calm = 0; calm < 5; ) {
    const open = engine.vms().some(({ incident }) => incident !== '');
    calm = open || journal.status().newest + 1 < journal.next ? 0 : calm + 1;
    if (performance.now() > deadline) throw new Error('an incident stays open');
    await settled(1);
  }
};

/** Lets what is under way go on for some turns of the event loop; how far it comes is not what is tested. */
const settled = async (turns: number): Promise<void> => {
  for (let turn = 0; turn < turns; turn += 1) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
};

const said = (id: string, kind: EventType): EventReport => ({
  vm: id,
  uid: '',
  event: vmmEvent(kind, { reason: 'reported', action: '', arguments: [], text: '' }),
  origin: 'kernel',
  initiator: 'guest',
  bootId: 'a',
  key: null,
  occurredAtMs: null,
  reconciled: false,
});
