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
  const unable = (who: string, steps: readonly Step[]): readonly string[] =>
    [...new Set(steps.flatMap(verbsOf))].flatMap((verb) => {
      const ability = abilities[verb];
      return ability === undefined || ability.able
        ? []
        : [`${who} has a step that can't be done on this VM, ${verb}: ${ability.reason}.`];
    });
  return [
    ...policy.rules
      .filter(({ vms }) => selects(vms, vm))
      .flatMap(({ name, line, do: plan, exhausted }) =>
        unable(`Rule "${name}" (line ${line})`, [...plan, ...exhausted]),
      ),
    ...unable('The answer under "otherwise"', policy.otherwise),
  ];
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
