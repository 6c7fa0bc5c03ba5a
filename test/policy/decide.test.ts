import { describe, expect, it } from 'vitest';
import { decide } from '../../src/policy/decide.js';
import { observePolicy } from '../../src/policy/observe-policy.js';
import type { Decision, Policy, Question } from '../../src/policy/policy.js';
import { moment, policyOf, question } from './policies.js';

const SPEC = `
mode: enforce
budgets:
  crash:
    limits: [{ attempts: 3, within: 1h }, { attempts: 4, within: 24h }]
    delay: { base: 10s, factor: 2, max: 25s, jitter: 0 }
rules:
  - { name: damaged, on: [CRASH], anomaly: [DATA_UNTRUSTED, DATA_MISSING], origin: [kernel], do: [pause] }
  - { name: crashed, on: [CRASH, WATCHDOG], do: [dump, restart], budget: crash, exhausted: [powerOff, hold] }
  - { name: reset by operator, on: [RESET], initiator: [operator, host], do: [resume], budget: crash }
  - { name: nameless, on: [UNKNOWN], do: [pause] }
  - { name: loaded, on: [CRASH_LOADED], do: [notify] }
otherwise: [hold]
`;
const policy = policyOf(SPEC);
const MINUTE = 60_000;
const NOW = 100 * 60 * MINUTE;
const ago = (...minutes: number[]) => ({
  crash: minutes.map((minute) => moment(NOW - minute * MINUTE)),
});
const verbs = (decision: Decision): string => decision.plan.map((step) => step.verb).join(' ');

type Case = Parameters<typeof question>[0] & object;
const ask = (overrides: Case, by: Policy = policy): Decision =>
  decide(by, question({ now: moment(NOW), ...overrides }));

describe('which rule answers', () => {
  it.each<[string, Case, string | null, string, boolean]>([
    ['the first that matches', {}, 'crashed', 'dump restart', true],
    ['one of several types', { event: { type: 'WATCHDOG' } }, 'crashed', 'dump restart', true],
    ['guest and unknown by default', { initiator: 'unknown' }, 'crashed', 'dump restart', true],
    ['not what the host did', { initiator: 'host' }, null, '', false],
    ['not what an operator did', { initiator: 'operator' }, null, '', false],
    ['not what vmwarden did', { initiator: 'vmwarden' }, null, '', false],
    [
      'unless it names the initiator',
      { event: { type: 'RESET' }, initiator: 'host' },
      'reset by operator',
      'resume',
      true,
    ],
    [
      'one with the anomaly and origin',
      { event: { anomalies: ['DATA_MISSING'] }, origin: 'kernel' },
      'damaged',
      'pause',
      true,
    ],
    [
      'not with another origin',
      { event: { anomalies: ['DATA_MISSING'] } },
      'crashed',
      'dump restart',
      true,
    ],
    [
      'untrusted: one that names it',
      { event: { anomalies: ['LEGACY_FLAGS', 'DATA_UNTRUSTED'] }, origin: 'kernel' },
      'damaged',
      'pause',
      true,
    ],
    ['untrusted: no other', { event: { anomalies: ['DATA_UNTRUSTED'] } }, null, '', false],
    [
      'untrusted: nor otherwise',
      { event: { type: 'SUSPEND', anomalies: ['DATA_UNTRUSTED'] } },
      null,
      '',
      false,
    ],
    [
      'other anomalies change nothing',
      { event: { anomalies: ['LEGACY_FLAGS'] } },
      'crashed',
      'dump restart',
      true,
    ],
    [
      'a type without a name, where named',
      { event: { type: 'UNKNOWN' } },
      'nameless',
      'pause',
      true,
    ],
    ['notify is nothing to do', { event: { type: 'CRASH_LOADED' } }, 'loaded', '', false],
    ['otherwise', { event: { type: 'SUSPEND' } }, null, 'hold', true],
    [
      'otherwise not for the host',
      { event: { type: 'SUSPEND' }, initiator: 'host' },
      null,
      '',
      false,
    ],
  ])('%s', (_, overrides, rule, plan, act) => {
    const decision = ask(overrides);
    expect({ rule: decision.rule?.name ?? null, plan: verbs(decision), act: decision.act }).toEqual(
      { rule, plan, act },
    );
    expect(decision.policyHash).toBe(policy.hash);
    for (const reason of decision.reasons) expect(reason).toMatch(/^[A-Z].*\.$/);
  });

  it('never acts on a type without a name by otherwise', () => {
    const decision = ask(
      { event: { type: 'UNKNOWN' } },
      policyOf('mode: enforce\notherwise: [powerOff]'),
    );
    expect(decision).toMatchObject({ plan: [], act: false });
    expect(decision.reasons).toEqual([
      'No rule matched UNKNOWN by the guest.',
      'The event is of a type without a name, so "otherwise" doesn\'t act on it: that takes a rule.',
      'The answer is to notify only: recorded and told, nothing done.',
    ]);
  });
});

describe('when nothing may be done', () => {
  it('records only what is older than maxEventAge', () => {
    expect(ask({ ageMs: 5 * MINUTE }).act).toBe(true);
    expect(ask({ ageMs: 5 * MINUTE + 1 })).toMatchObject({
      rule: { name: 'crashed', line: 12 },
      plan: [],
      act: false,
      budget: null,
      reasons: [
        'Rule "crashed" (line 12) matched CRASH by the guest.',
        'The event was 5 min old when it was journaled; more than 5 min (safety.maxEventAge) is recorded only.',
      ],
    });
  });

  it('records only while the VM is held', () => {
    expect(ask({ held: true })).toMatchObject({ plan: [], act: false, budget: null, delayMs: 0 });
    expect(ask({ held: true }).reasons[1]).toBe(
      'This VM is held: nothing is done until it is released.',
    );
  });

  it('shows in observe mode what would be done', () => {
    const decision = ask({ attempts: ago(1) }, policyOf(SPEC.replace('enforce', 'observe')));
    expect(verbs(decision)).toBe('dump restart');
    expect(decision).toMatchObject({ mode: 'observe', act: false, delayMs: 10_000 });
    expect(decision.reasons.at(-1)).toBe(
      'The mode is observe: this is what would be done; nothing is.',
    );
  });

  it('does nothing without a file', () => {
    expect(decide(observePolicy(), question())).toEqual({
      mode: 'observe',
      policyHash: '',
      rule: null,
      reasons: [
        'No rule matched CRASH by the guest.',
        'The answer is to notify only: recorded and told, nothing done.',
      ],
      plan: [],
      act: false,
      budget: null,
      delayMs: 0,
      conditionError: null,
    });
  });

  it('does nothing under a budget that is not there', () => {
    const broken: Policy = { ...policy, budgets: {} };
    expect(ask({}, broken)).toMatchObject({ act: false, plan: [], budget: null });
    // Not one of Object.prototype either.
    const rules = policy.rules.map((rule) => ({ ...rule, budget: 'constructor' }));
    expect(ask({}, { ...broken, rules })).toMatchObject({ act: false, plan: [] });
  });
});

describe('the budget', () => {
  const HOUR_LIMIT = { attempts: 3, withinMs: 60 * MINUTE };
  const DAY_LIMIT = { attempts: 4, withinMs: 1_440 * MINUTE };

  it.each<[string, Question['attempts'], object, number, string[]]>([
    [
      'a first attempt, at once',
      {},
      { before: 0, after: 1, limit: HOUR_LIMIT, exhausted: false },
      0,
      ['Attempt 1 of 3 within 1 h (budget "crash").'],
    ],
    [
      'a second, after base',
      ago(9),
      { before: 1, after: 2, limit: HOUR_LIMIT, exhausted: false },
      10_000,
      [
        'Attempt 2 of 3 within 1 h (budget "crash").',
        'Waits 10 s first: attempt 2 of a streak, which ends when the VM needs none for 10 min (stableAfter).',
      ],
    ],
    [
      'a third, after base × factor',
      ago(18, 9),
      { before: 2, after: 3, limit: HOUR_LIMIT, exhausted: false },
      20_000,
      [],
    ],
    [
      'at once again when it was stable',
      ago(10),
      { before: 1, after: 2, limit: HOUR_LIMIT, exhausted: false },
      0,
      [],
    ],
    [
      'a streak counts back to the last stable time',
      ago(50, 9),
      { before: 2, after: 3, limit: HOUR_LIMIT, exhausted: false },
      10_000,
      [],
    ],
    [
      'the tightest limit',
      ago(200, 180, 120),
      { before: 3, after: 4, limit: DAY_LIMIT, exhausted: false },
      0,
      ['Attempt 4 of 4 within 1 d (budget "crash").'],
    ],
    [
      'other budgets count for themselves',
      { other: ago(1, 1, 1, 1).crash },
      { before: 0, after: 1 },
      0,
      [],
    ],
  ])('%s', (_, attempts, budget, delayMs, reasons) => {
    const decision = ask({ attempts });
    expect(verbs(decision)).toBe('dump restart');
    expect(decision).toMatchObject({ act: true, delayMs, budget: { name: 'crash', ...budget } });
    expect(decision.reasons).toEqual(expect.arrayContaining(reasons));
  });

  it('answers with exhausted when it is used up', () => {
    expect(ask({ attempts: ago(59, 30, 10) })).toMatchObject({
      rule: { name: 'crashed' },
      plan: [{ verb: 'powerOff' }, { verb: 'hold' }],
      act: true,
      delayMs: 0,
      budget: { name: 'crash', before: 3, after: 3, limit: HOUR_LIMIT, exhausted: true },
      reasons: [
        'Rule "crashed" (line 12) matched CRASH by the guest.',
        'Budget "crash" is used up: 3 of 3 within 1 h; the next attempt is free in 1 min.',
        'So the answer is what the rule has under "exhausted".',
      ],
    });
    expect(ask({ attempts: ago(60, 30, 10) }).budget?.exhausted).toBe(false);
  });

  it('names the limit that stays used up for longest', () => {
    expect(ask({ attempts: ago(90, 59, 30, 10) })).toMatchObject({
      budget: { limit: DAY_LIMIT, exhausted: true },
    });
  });

  it('notifies when there is nothing under exhausted', () => {
    const bare = policyOf(SPEC.replace(', exhausted: [powerOff, hold]', ''));
    expect(ask({ attempts: ago(3, 2, 1) }, bare)).toMatchObject({
      plan: [],
      act: false,
      budget: { exhausted: true },
    });
  });

  it('is neither charged nor asked for what the host or an operator did', () => {
    for (const initiator of ['host', 'operator'] as const) {
      const decision = ask({ event: { type: 'RESET' }, initiator, attempts: ago(4, 3, 2, 1) });
      expect(decision).toMatchObject({ act: true, budget: null, delayMs: 0 });
    }
  });

  it('sways the delay by the incident, within the share that jitter names', () => {
    const swaying = policyOf(SPEC.replace('jitter: 0', 'jitter: 0.5'));
    const delays = Array.from(
      { length: 200 },
      (_, index) => ask({ attempts: ago(1), incident: `incident-${index}` }, swaying).delayMs,
    );
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(5_000);
    expect(Math.max(...delays)).toBeLessThanOrEqual(15_000);
    expect(new Set(delays).size).toBeGreaterThan(150);
    expect(ask({ attempts: ago(1) }, swaying)).toEqual(ask({ attempts: ago(1) }, swaying));
  });
});
