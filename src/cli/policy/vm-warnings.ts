import { idleDrivers } from '../../app.js';
import type { Config } from '../../config/config.js';
import type { Policy } from '../../policy/policy.js';
import { unableSteps } from '../../policy/unable-steps.js';

/** VMs that one sentence names. */
const NAMED = 5;

/** What the drivers of the configured VMs can't do of a policy: one sentence for each rule and reason, naming the VMs. */
export const vmWarnings = (config: Config): ((policy: Policy) => readonly string[]) => {
  const vms = idleDrivers(config).map(({ vm, driver }) => ({
    vm,
    abilities: driver.capabilities().verbs,
  }));
  return (policy) => {
    const found = new Map<string, string[]>();
    for (const { vm, abilities } of vms) {
      for (const sentence of unableSteps(policy, vm, abilities)) {
        found.set(sentence, [...(found.get(sentence) ?? []), vm.id]);
      }
    }
    return [...found].map(([sentence, ids]) => `${named(ids)}: ${sentence}`);
  };
};

const named = (ids: readonly string[]): string => {
  const more = ids.length - NAMED;
  const names = ids.slice(0, NAMED).join(', ');
  return `${ids.length === 1 ? 'VM' : 'VMs'} ${names}${more > 0 ? ` and ${more} more` : ''}`;
};
