import type { Maintenance, Mode, Policy } from './policy.js';
import { selects, type VmIdentity } from './selector.js';

/** The maintenance that a VM is under at this time of the wall clock; null: none. */
export const maintenanceOf = (policy: Policy, vm: VmIdentity, wallMs: number): Maintenance | null =>
  policy.maintenance.find(
    ({ untilMs, vms }) => (untilMs === null || wallMs < untilMs) && selects(vms, vm),
  ) ?? null;

/** How the policy treats this VM now. */
export const modeFor = (policy: Policy, vm: VmIdentity, wallMs: number): Mode =>
  policy.mode === 'observe' || maintenanceOf(policy, vm, wallMs) !== null ? 'observe' : 'enforce';

/** When a maintenance next ends by itself; null: none does. */
export const nextMaintenanceEnd = (policy: Policy, wallMs: number): number | null =>
  policy.maintenance.reduce<number | null>(
    (next, { untilMs }) =>
      untilMs !== null && untilMs > wallMs && (next === null || untilMs < next) ? untilMs : next,
    null,
  );
