import type { Policy, Step } from './policy.js';
import { selects, type VmIdentity } from './selector.js';

/** What a VM's driver can do, by verb, with the reason where it can't; `restartProcess` is `restart: {in: process}`. */
export type Abilities = Readonly<
  Record<string, { readonly able: true } | { readonly able: false; readonly reason: string }>
>;

/** One sentence for each rule with a step that this VM's driver can't do: it would end `unsupported`. */
export const unableSteps = (
  policy: Policy,
  vm: VmIdentity,
  abilities: Abilities,
): readonly string[] => {
  if (policy.mode !== 'enforce') return [];
  return policy.rules
    .filter(({ vms }) => selects(vms, vm))
    .flatMap((rule) => {
      const verbs = new Set([...rule.do, ...rule.exhausted].flatMap(verbsOf));
      return [...verbs].flatMap((verb) => {
        const ability = abilities[verb];
        return ability === undefined || ability.able
          ? []
          : [
              `Rule "${rule.name}" (line ${rule.line}) has a step that can't be done on this VM: ${ability.reason}.`,
            ];
      });
    });
};

const verbsOf = (step: Step): readonly string[] => {
  switch (step.verb) {
    case 'await':
      return step.otherwise.flatMap(verbsOf);
    case 'restart':
      return [step.in === 'process' ? 'restartProcess' : 'restart'];
    default:
      return [step.verb];
  }
};
