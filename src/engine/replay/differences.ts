import type { SimulatedDecision } from '../../gen/vmwarden/v1/policy_service.js';

export interface Difference {
  readonly before: SimulatedDecision | undefined;
  readonly after: SimulatedDecision | undefined;
  readonly changed: readonly string[];
}

/** Decisions that wait for their like: events that wait for an incident to close are decided later on one side. */
const MAX_WAITING = 4_096;

/** Decisions of one side on one event: more than one where what vmwarden left undone was put to the policy again. */
interface Waiting {
  readonly side: Side;
  readonly decisions: SimulatedDecision[];
}

/** Puts the decisions of two sides on one event beside each other, in bounded memory. */
export class Differences {
  readonly #waiting = new Map<bigint, Waiting>();
  readonly #tell: (difference: Difference) => void;
  same = 0;
  different = 0;

  constructor(tell: (difference: Difference) => void) {
    this.#tell = tell;
  }

  add(side: Side, decision: SimulatedDecision): void {
    const event = decision.decision?.eventSequence ?? 0n;
    const waiting = this.#waiting.get(event);
    if (waiting === undefined) {
      this.#waiting.set(event, { side, decisions: [decision] });
      this.#bound();
      return;
    }
    if (waiting.side === side) {
      waiting.decisions.push(decision);
      return;
    }
    const other = waiting.decisions.shift();
    if (waiting.decisions.length === 0) this.#waiting.delete(event);
    if (other === undefined) return;
    this.#compare(side === 'after' ? [other, decision] : [decision, other]);
  }

  /** What has no like by now has none. */
  end(): void {
    for (const waiting of this.#waiting.values()) this.#alone(waiting);
    this.#waiting.clear();
  }

  #bound(): void {
    if (this.#waiting.size <= MAX_WAITING) return;
    for (const [event, waiting] of this.#waiting) {
      this.#waiting.delete(event);
      this.#alone(waiting);
      return;
    }
  }

  #alone({ side, decisions }: Waiting): void {
    for (const decision of decisions) {
      this.different += 1;
      this.#tell({
        before: side === 'before' ? decision : undefined,
        after: side === 'after' ? decision : undefined,
        changed: ['decided'],
      });
    }
  }

  #compare([before, after]: readonly [SimulatedDecision, SimulatedDecision]): void {
    const changed = changes(before, after);
    if (changed.length === 0) {
      this.same += 1;
      return;
    }
    this.different += 1;
    this.#tell({ before, after, changed });
  }
}

type Side = 'before' | 'after';

const changes = (before: SimulatedDecision, after: SimulatedDecision): readonly string[] =>
  Object.entries(TRAITS)
    .filter(([, trait]) => trait(before) !== trait(after))
    .map(([name]) => name);

/** What of a decision an operator would want to know; hashes and sentences follow from it. */
const TRAITS: Readonly<Record<string, (of: SimulatedDecision) => string | number | boolean>> = {
  rule: ({ decision }) => decision?.rule ?? '',
  plan: ({ decision }) =>
    JSON.stringify(
      decision?.plan.map(({ verb, timeoutMs, retries, continueOnFailure }) => [
        verb,
        String(timeoutMs),
        retries,
        continueOnFailure,
      ]),
    ),
  act: ({ incidentId }) => incidentId !== '',
  delay: ({ decision }) =>
    decision?.notBefore === undefined
      ? 0
      : decision.notBefore.getTime() - (decision.now?.getTime() ?? 0),
  exhausted: ({ decision }) => decision?.budget?.exhausted ?? false,
};
