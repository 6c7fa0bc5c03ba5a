import type {
  RuleSummary,
  SimulatedDecision,
  VerbCount,
  VmSummary,
} from '../../gen/vmwarden/v1/policy_service.js';
import type { Policy } from '../../policy/policy.js';
import type { VmRow } from '../vm-row.js';
import type { Begun } from './news.js';

/** VMs that a summary names; an operator with more looks at one at a time. */
const MAX_VMS = 1_000;

/** Counts what a policy would have done, by rule and by VM. */
export class Summary {
  readonly #rules = new Map<string, Tally>();
  readonly #vms = new Map<string, Tally>();
  decisions = 0;

  decided({ vmId, incidentId, decision }: SimulatedDecision): void {
    this.decisions += 1;
    for (const tally of this.#tallies(decision?.rule ?? '', vmId)) {
      tally.decisions += 1;
      if (incidentId !== '') tally.acted += 1;
      if (decision?.budget?.exhausted === true) tally.exhausted += 1;
    }
  }

  begun({ vm, rule, verb }: Begun): void {
    for (const { steps } of this.#tallies(rule, vm)) steps.set(verb, (steps.get(verb) ?? 0) + 1);
  }

  rules(policy: Policy): RuleSummary[] {
    return [...policy.rules, { name: '', line: 0 }].map(({ name, line }) => ({
      name,
      line,
      ...counts(this.#rules.get(name) ?? newTally()),
    }));
  }

  vms(rows: ReadonlyMap<string, VmRow>): { readonly vms: VmSummary[]; readonly moreVms: number } {
    const all = [...this.#vms].sort(
      ([a, { decisions: more }], [b, { decisions: fewer }]) => fewer - more || (a < b ? -1 : 1),
    );
    return {
      vms: all.slice(0, MAX_VMS).map(([vmId, tally]) => ({
        vmId,
        ...counts(tally),
        held: rows.get(vmId)?.hold != null,
        incidentId: rows.get(vmId)?.incident?.id ?? '',
      })),
      moreVms: Math.max(0, all.length - MAX_VMS),
    };
  }

  #tallies(rule: string, vm: string): readonly [Tally, Tally] {
    return [of(this.#rules, rule), of(this.#vms, vm)];
  }
}

interface Tally {
  decisions: number;
  acted: number;
  exhausted: number;
  readonly steps: Map<string, number>;
}

const newTally = (): Tally => ({ decisions: 0, acted: 0, exhausted: 0, steps: new Map() });

const of = (tallies: Map<string, Tally>, key: string): Tally => {
  let tally = tallies.get(key);
  if (tally === undefined) {
    tally = newTally();
    tallies.set(key, tally);
  }
  return tally;
};

const counts = ({ decisions, acted, exhausted, steps }: Tally) => ({
  decisions: BigInt(decisions),
  acted: BigInt(acted),
  exhausted: BigInt(exhausted),
  steps: [...steps].map(([verb, count]): VerbCount => ({ verb, count: BigInt(count) })),
});
