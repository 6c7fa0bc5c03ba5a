import { describe, expect, it } from 'vitest';
import { compileCondition } from '../../src/policy/condition.js';
import { DEFAULT_POLICY } from '../../src/policy/default-policy.js';
import { parsePolicy } from '../../src/policy/parse.js';
import type { Policy } from '../../src/policy/policy.js';
import { type PausesFor, unmetRules, wantedTakeOver } from '../../src/policy/take-over.js';
import { policyOf } from './policies.js';

const VM = { id: 'web-1', uid: '', labels: { tier: 'gold' } };
const wanted = (policy: Policy) => wantedTakeOver(policy, VM, 0);
const unmet = (policy: Policy, vmm: PausesFor) => unmetRules(policy, VM, vmm);
const BUDGET = 'budgets: { b: { limits: [{ attempts: 1, within: 1h }] } }';
const one = (rule: string) => policyOf(`mode: enforce\n${BUDGET}\nrules: [{ name: r, ${rule} }]`);

describe('wantedTakeOver', () => {
  const panic = { panic: true, shutdown: false, watchdog: false };
  const shutdown = { panic: false, shutdown: true, watchdog: false };
  const watchdog = { panic: false, shutdown: false, watchdog: true };
  it.each([
    ['on: [CRASH], do: [restart]', panic],
    ['on: [CRASH], do: [dump]', panic],
    ['on: [CRASH], do: [pause]', panic],
    ['on: [CRASH], do: [hold]', panic],
    ['on: [CRASH], do: [dump, powerOff]', panic],
    ['on: [CRASH], do: [powerOff, hold]', null],
    ['on: [CRASH], do: [notify]', null],
    ['on: [CRASH], do: [powerOff], budget: b, exhausted: [dump]', panic],
    ['on: [CRASH], do: [restart], initiator: [host, unknown]', null],
    ['on: [CRASH], do: [restart], anomaly: [BOOT_UNSTATED]', panic],
    ['on: [CRASH_LOADED], do: [restart]', null],
    ['on: [SHUTDOWN], do: [powerOff]', null],
    ['on: [SHUTDOWN], do: [restart]', shutdown],
    ['on: [SHUTDOWN], do: [resume]', shutdown],
    ['on: [WATCHDOG], do: [powerOff]', watchdog],
    ['on: [WATCHDOG], do: [restart]', watchdog],
    ['on: [WATCHDOG], do: [notify]', null],
    ['on: [CRASH], do: [restart], vms: { ids: [other-*] }', null],
    ['on: [CRASH], do: [restart], vms: { matchLabels: { tier: gold } }', panic],
    ["on: [CRASH], do: [restart], when: vm.label('tier') == 'gold'", panic],
  ])('%s', (rule, expected) => {
    expect(wanted(one(rule))).toEqual(expected);
  });

  it('looks at the rules that come first', () => {
    const first = '{ name: a, on: [CRASH], do: [powerOff] }';
    const second = '{ name: b, on: [CRASH, WATCHDOG], do: [restart] }';
    expect(wanted(policyOf(`mode: enforce\nrules: [${first}, ${second}]`))).toEqual(watchdog);
  });

  it('looks at otherwise for what no rule answers', () => {
    const spec =
      'mode: enforce\nrules: [{ name: a, on: [CRASH], do: [notify] }]\notherwise: [dump]';
    expect(wanted(policyOf(spec))).toEqual({
      panic: false,
      shutdown: true,
      watchdog: true,
    });
  });

  it('wants nothing in observe mode', () => {
    expect(wanted(policyOf('mode: observe\notherwise: [dump]'))).toBeNull();
  });

  it('wants panic and watchdog for the default policy', () => {
    const parsed = parsePolicy(DEFAULT_POLICY, 'p.yaml', compileCondition);
    expect(parsed.ok && wanted(parsed.policy)).toEqual({
      panic: true,
      shutdown: false,
      watchdog: true,
    });
  });
});

describe('unmetRules', () => {
  const none = { panicPauses: false, shutdownPauses: false, watchdogPauses: false };
  const policy = one('on: [CRASH, WATCHDOG, SHUTDOWN], do: [dump, restart]');

  it('names each rule, why it has no effect, and what to do', () => {
    expect(unmet(policy, none)).toEqual([
      'Rule "r" (line 7) can\'t dump, restart after CRASH: the VMM ends a guest that panics; set takeOver: true for this VM, or start its VMM so that it waits (QEMU: -action panic=pause).',
      'Rule "r" (line 7) can\'t dump, restart after SHUTDOWN: the VMM ends a guest that shuts down; set takeOver: true for this VM, or start its VMM so that it waits (QEMU: -no-shutdown).',
      'Rule "r" (line 7) can\'t dump, restart after WATCHDOG: the VMM resets a guest whose watchdog runs out; set takeOver: true for this VM, or start its VMM so that it waits (QEMU: -action watchdog=pause).',
    ]);
    expect(unmet(policyOf('mode: enforce\notherwise: [pause]'), none)[0]).toMatch(
      /^"otherwise" can't pause after CRASH/,
    );
  });

  it('says nothing of a VMM that waits', () => {
    const all = { panicPauses: true, shutdownPauses: true, watchdogPauses: true };
    expect(unmet(policy, all)).toEqual([]);
    expect(unmet(policy, { ...all, shutdownPauses: false })).toHaveLength(1);
    expect(unmet(policyOf('mode: observe\notherwise: [pause]'), none)).toEqual([]);
  });
});
