import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Moment } from '../../src/lib/clock.js';
import { exceeded, pruneAttempts, usage, waitBefore } from '../../src/policy/budget.js';
import { decide } from '../../src/policy/decide.js';
import { observePolicy } from '../../src/policy/observe-policy.js';
import { step } from '../../src/policy/parse.js';
import type { Attempts, Budget, Policy } from '../../src/policy/policy.js';
import { moment, question, TestHost } from './policies.js';

const budgets: fc.Arbitrary<Budget> = fc.record({
  limits: fc.array(
    fc.record({
      attempts: fc.integer({ min: 1, max: 5 }),
      withinMs: fc.integer({ min: 1, max: 5_000 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  stableAfterMs: fc.integer({ min: 1, max: 8_000 }),
  delay: fc.record({
    baseMs: fc.integer({ min: 0, max: 300 }),
    factor: fc.double({ min: 1, max: 4, noNaN: true }),
    maxMs: fc.integer({ min: 300, max: 1_000 }),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
});

type Happening =
  | { kind: 'crash'; initiator: 'guest' | 'unknown' | 'host' | 'operator' }
  | { kind: 'pass'; ms: number }
  | { kind: 'step'; ms: number }
  | { kind: 'reboot' };

const crash = fc.record({
  kind: fc.constant('crash' as const),
  initiator: fc.constantFrom('guest', 'guest', 'guest', 'unknown', 'host', 'operator'),
});
const pass = fc.record({
  kind: fc.constant('pass' as const),
  ms: fc.integer({ min: 0, max: 1_500 }),
});
const reboot = fc.constant({ kind: 'reboot' as const });
const stepBy = (min: number, max: number) =>
  fc.record({ kind: fc.constant('step' as const), ms: fc.integer({ min, max }) });
const history = (steps: fc.Arbitrary<Happening>): fc.Arbitrary<Happening[]> =>
  fc.array(fc.oneof({ weight: 8, arbitrary: crash }, { weight: 4, arbitrary: pass }, steps), {
    maxLength: 120,
  });

const policyWith = (budget: Budget): Policy => ({
  ...observePolicy(),
  mode: 'enforce',
  budgets: { b: budget },
  rules: [
    {
      name: 'crashed',
      line: 1,
      on: ['CRASH'],
      initiator: ['guest', 'unknown', 'host', 'operator'],
      origin: null,
      anomaly: null,
      vms: null,
      when: null,
      do: [step('restart')],
      budget: 'b',
      exhausted: [step('hold')],
    },
  ],
});

interface Charge {
  readonly trueMs: number;
  readonly bootId: string;
}

/** Lives through a history as the engine does: waits out the delay, charges at the intent, prunes. */
const live = (budget: Budget, happenings: readonly Happening[]): readonly Charge[] => {
  const policy = policyWith(budget);
  const host = new TestHost();
  const charges: Charge[] = [];
  let attempts: Attempts = {};
  for (const [index, happening] of happenings.entries()) {
    switch (happening.kind) {
      case 'pass':
        host.pass(happening.ms);
        break;
      case 'step':
        host.stepWallClock(happening.ms);
        break;
      case 'reboot':
        host.reboot();
        break;
      case 'crash': {
        const now = host.now();
        const { initiator } = happening;
        const asked = { incident: `${index}`, initiator, now };
        const all = decide(policy, question({ ...asked, attempts }));
        attempts = pruneAttempts(policy.budgets, attempts, now);
        const decision = decide(policy, question({ ...asked, attempts }));
        expect(decision).toEqual(all);
        if (decision.plan[0]?.verb !== 'restart' || decision.budget === null) break;
        host.pass(decision.delayMs);
        attempts = { b: [...(attempts['b'] ?? []), host.now()] };
        charges.push({ trueMs: host.trueMs, bootId: host.bootId });
        break;
      }
    }
  }
  return charges;
};

const mostInAnyWindow = (charges: readonly Charge[], withinMs: number): number =>
  Math.max(
    0,
    ...charges.map(
      (last) =>
        charges.filter(({ trueMs }) => trueMs <= last.trueMs && trueMs > last.trueMs - withinMs)
          .length,
    ),
  );

describe('never more attempts than a limit allows in any window', () => {
  it('with host reboots and clocks that are set back', () => {
    fc.assert(
      fc.property(budgets, history(fc.oneof(reboot, stepBy(-10_000, 0))), (budget, happenings) => {
        const charges = live(budget, happenings);
        for (const { attempts, withinMs } of budget.limits) {
          expect(mostInAnyWindow(charges, withinMs)).toBeLessThanOrEqual(attempts);
        }
      }),
      { numRuns: 400 },
    );
  });

  it('of one host boot, however the wall clock jumps', () => {
    fc.assert(
      fc.property(budgets, history(fc.oneof(reboot, stepBy(-1e9, 1e9))), (budget, happenings) => {
        const charges = live(budget, happenings);
        for (const bootId of new Set(charges.map((charge) => charge.bootId))) {
          const ofBoot = charges.filter((charge) => charge.bootId === bootId);
          for (const { attempts, withinMs } of budget.limits) {
            expect(mostInAnyWindow(ofBoot, withinMs)).toBeLessThanOrEqual(attempts);
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  it('and uses them: what is allowed is done', () => {
    const budget: Budget = {
      limits: [{ attempts: 3, withinMs: 1_000 }],
      stableAfterMs: 1,
      delay: { baseMs: 0, factor: 1, maxMs: 0, jitter: 0 },
    };
    const everyTenth: Happening[] = Array.from({ length: 300 }, (_, index) =>
      index % 2 === 0 ? { kind: 'crash', initiator: 'guest' } : { kind: 'pass', ms: 10 },
    );
    expect(live(budget, everyTenth).map((charge) => charge.trueMs)).toEqual([
      0, 10, 20, 1_000, 1_010, 1_020,
    ]);
  });
});

it('free is when the next attempt is allowed, and not a millisecond before', () => {
  const moments = fc.array(fc.integer({ min: 0, max: 6_000 }), { maxLength: 12 });
  fc.assert(
    fc.property(budgets, moments, ({ limits }, times) => {
      const attempts: Moment[] = times.toSorted((a, b) => a - b).map((ms) => moment(ms));
      const use = usage(limits, attempts, moment(6_000));
      if (use?.exhausted !== true) return;
      const longest = Math.max(
        ...limits.map((limit) => usage([limit], attempts, moment(6_000))?.freeInMs ?? 0),
      );
      expect(exceeded(limits, attempts, moment(6_000 + longest - 1))).toBe(true);
      expect(exceeded(limits, attempts, moment(6_000 + longest))).toBe(false);
      expect(use.freeInMs).toBe(longest);
    }),
  );
});

it('waits at most max and its jitter, and not at all in a new streak', () => {
  const moments = fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 30 });
  fc.assert(
    fc.property(budgets, moments, fc.string(), (budget, times, seed) => {
      const attempts = times.toSorted((a, b) => a - b).map((ms) => moment(ms));
      const { attempt, delayMs } = waitBefore(budget, attempts, moment(20_000), seed);
      expect(delayMs).toBeGreaterThanOrEqual(0);
      expect(delayMs).toBeLessThanOrEqual(
        Math.ceil(budget.delay.maxMs * (1 + budget.delay.jitter)),
      );
      const last = times.length === 0 ? -1e9 : Math.max(...times);
      expect(attempt === 1).toBe(20_000 - last >= budget.stableAfterMs);
      if (attempt === 1) expect(delayMs).toBe(0);
    }),
  );
});

describe('pruneAttempts', () => {
  const budget: Budget = {
    limits: [{ attempts: 2, withinMs: 1_000 }],
    stableAfterMs: 500,
    delay: { baseMs: 0, factor: 1, maxMs: 0, jitter: 0 },
  };

  it('drops what is outside every window', () => {
    const attempts = { b: [moment(0), moment(1), moment(500)] };
    expect(pruneAttempts({ b: budget }, attempts, moment(1_000))).toEqual({
      b: [moment(1), moment(500)],
    });
    expect(pruneAttempts({ b: budget }, attempts, moment(1_500))).toEqual({});
  });

  it('keeps those of a budget that is gone for 30 days, and no more than 1000', () => {
    const month = 30 * 86_400_000;
    const attempts = { gone: [moment(0), moment(1)] };
    expect(pruneAttempts({}, attempts, moment(month))).toEqual({ gone: [moment(1)] });
    const many = { gone: Array.from({ length: 1_500 }, (_, ms) => moment(ms)) };
    expect(pruneAttempts({}, many, moment(2_000))['gone']).toEqual(many.gone.slice(500));
  });
});
