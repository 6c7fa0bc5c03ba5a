import type { EventType } from '../event/event-type.js';
import { modeFor } from './maintenance.js';
import type { Policy, Rule, Step } from './policy.js';
import { answersTo } from './reach.js';
import { selects, type VmIdentity } from './selector.js';

/** What a VMM should leave to vmwarden: see `TakeOver` in the driver's contract. */
export interface WantedTakeOver {
  readonly panic: boolean;
  readonly shutdown: boolean;
  readonly watchdog: boolean;
}

/** What a VMM was started with, or told since: it pauses the guest and waits. */
export interface PausesFor {
  readonly panicPauses: boolean;
  readonly shutdownPauses: boolean;
  readonly watchdogPauses: boolean;
}

/**
 * What to take over so that the policy can answer: only in enforce mode, and only where its answer differs from what a
 * VMM does by itself (panic and shutdown end the guest, a watchdog resets it). null: nothing.
 */
export const wantedTakeOver = (
  policy: Policy,
  vm: VmIdentity,
  wallMs: number,
): WantedTakeOver | null => {
  if (modeFor(policy, vm, wallMs) !== 'enforce') return null;
  const wants = (trap: Trap): boolean => unmet(policy, vm, trap).length > 0;
  const wanted = { panic: wants(PANIC), shutdown: wants(SHUTDOWN), watchdog: wants(WATCHDOG) };
  return wanted.panic || wanted.shutdown || wanted.watchdog ? wanted : null;
};

/** One sentence for each rule that can't take effect on a VM that doesn't wait for vmwarden: why, and what to do. */
export const unmetRules = (policy: Policy, vm: VmIdentity, vmm: PausesFor): readonly string[] => {
  if (policy.mode !== 'enforce') return [];
  return [
    ...(vmm.panicPauses ? [] : complaints(policy, vm, PANIC)),
    ...(vmm.shutdownPauses ? [] : complaints(policy, vm, SHUTDOWN)),
    ...(vmm.watchdogPauses ? [] : complaints(policy, vm, WATCHDOG)),
  ];
};

interface Trap {
  readonly type: EventType;
  /** Whether the plan needs the guest to wait. */
  readonly needs: (plan: readonly Step[]) => boolean;
  readonly byItself: string;
  readonly remedy: string;
}

/** A powerOff is what the VMM does anyway; what follows it finds no guest. */
const needsGuest = (plan: readonly Step[]): boolean => {
  const first = plan.find((step) => step.verb !== 'notify');
  return first !== undefined && first.verb !== 'powerOff';
};

const PANIC: Trap = {
  type: 'CRASH',
  needs: needsGuest,
  byItself: 'the VMM ends a guest that panics',
  remedy: '-action panic=pause',
};
const SHUTDOWN: Trap = {
  type: 'SHUTDOWN',
  needs: needsGuest,
  byItself: 'the VMM ends a guest that shuts down',
  remedy: '-no-shutdown',
};
const WATCHDOG: Trap = {
  type: 'WATCHDOG',
  needs: (plan) => plan.some((step) => step.verb !== 'notify'),
  byItself: 'the VMM resets a guest whose watchdog runs out',
  remedy: '-action watchdog=pause',
};

interface Unmet {
  readonly rule: Rule | null;
  readonly plan: readonly Step[];
}

const unmet = (policy: Policy, vm: VmIdentity, trap: Trap): readonly Unmet[] => {
  const rules = policy.rules.filter(({ vms }) => selects(vms, vm));
  return answersTo(rules, trap.type, 'guest').flatMap((rule) => {
    const plans = rule === null ? [policy.otherwise] : [rule.do, rule.exhausted];
    const plan = plans.find(trap.needs);
    return plan === undefined ? [] : [{ rule, plan }];
  });
};

const complaints = (policy: Policy, vm: VmIdentity, trap: Trap): readonly string[] =>
  unmet(policy, vm, trap).map(({ rule, plan }) => {
    const who = rule === null ? '"otherwise"' : `Rule "${rule.name}" (line ${rule.line})`;
    const verbs = plan.map((step) => step.verb).filter((verb) => verb !== 'notify');
    return `${who} can't ${verbs.join(', ')} after ${trap.type}: ${trap.byItself}; set takeOver: true for this VM, or start its VMM so that it waits (QEMU: ${trap.remedy}).`;
  });
