import type { Moment } from '../lib/clock.js';
import type { HostFacts, Step, StormState } from '../policy/policy.js';
import { releaseInMs } from '../policy/storm.js';
import type { Incident } from './vm-row.js';

/** What a pure change is told of the host. */
export interface HostStamp extends Pick<HostFacts, 'name' | 'vms' | 'dying'> {
  readonly storm: StormState;
  /** As many restarts, or dumps, are under way as the policy allows. */
  readonly full: { readonly restarts: boolean; readonly dumps: boolean };
}

/** Why a step whose time has come waits for the host. */
export type WaitReason = 'STORM' | 'CONCURRENT';

/**
 * Restarts wait while a storm is on, and those that did go one by one after it; restarts and dumps wait while as many as
 * the policy allows are under way. Nothing else does, nor what an operator asks for. Pure. null: it may start.
 */
export const waitsFor = (
  step: Step,
  incident: Pick<Incident, 'waitsFor' | 'operator'>,
  { host, now }: { readonly host: HostStamp; readonly now: Moment },
): WaitReason | null => {
  if (incident.operator !== undefined) return null;
  if (step.verb === 'restart') {
    const held = host.storm.kind === 'on' || incident.waitsFor === 'STORM';
    if (held && releaseInMs(host.storm, now) !== 0) return 'STORM';
    return host.full.restarts ? 'CONCURRENT' : null;
  }
  return step.verb === 'dump' && host.full.dumps ? 'CONCURRENT' : null;
};

export const WAIT_TEXT: Readonly<Record<WaitReason, string>> = {
  STORM: 'many VMs died at once: restarts wait until that is over',
  CONCURRENT: 'as many as safety.concurrent allows are under way on this host',
};
