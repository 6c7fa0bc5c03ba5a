import type { Policy } from '../../policy/policy.js';
import type { Counting } from './instruments.js';

const OTHERWISE = '(otherwise)';
const EARLIER = '(earlier policy)';

/** `vmwarden_decisions_total`: series of the rules in force alone; those of a policy that was replaced are forgotten. */
export class RuleSeries {
  readonly #counting: Counting;
  /** Series by rule, so that they can be forgotten: the answers that were counted. */
  readonly #counted = new Map<string, Set<string>>();
  #hash = '';

  constructor(counting: Counting) {
    this.#counting = counting;
  }

  inForce(policy: Policy): void {
    this.#hash = policy.hash;
    const names = new Set(policy.rules.map(({ name }) => name));
    for (const [rule, answers] of this.#counted) {
      if (names.has(rule) || rule === OTHERWISE || rule === EARLIER) continue;
      for (const answer of answers) this.#counting.forget(METRIC, { rule, answer });
      this.#counted.delete(rule);
    }
    // There from the start, so that the first time is seen as a rise.
    for (const { name, budget } of policy.rules) {
      if (budget !== null) this.#count(name, 'exhausted', 0);
    }
  }

  /** `rule` empty: `otherwise` answered. */
  decided(rule: string, policyHash: string, answer: string): void {
    const known = policyHash === this.#hash;
    this.#count(rule === '' ? OTHERWISE : known ? rule : EARLIER, answer, 1);
  }

  #count(rule: string, answer: string, by: number): void {
    const answers = this.#counted.get(rule) ?? new Set();
    answers.add(answer);
    this.#counted.set(rule, answers);
    this.#counting.count(METRIC, { rule, answer }, by);
  }
}

const METRIC = 'vmwarden_decisions_total';
