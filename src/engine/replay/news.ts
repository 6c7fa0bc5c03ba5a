import { type Decision, StepState } from '../../gen/vmwarden/v1/record.js';
import type { Change } from '../answer.js';
import type { Facts, VmRow } from '../vm-row.js';

export interface Decided {
  readonly kind: 'decided';
  readonly vm: string;
  /** Of the incident that it opens; empty: none. */
  readonly incident: string;
  readonly facts: Facts;
  readonly decision: Decision;
}

/** A step that began, under the rule that planned it (empty: `otherwise`). */
export interface Begun {
  readonly kind: 'begun';
  readonly vm: string;
  readonly rule: string;
  readonly verb: string;
  /** Sequence of the event that is answered. */
  readonly event: number;
}

/** What a change of a VM's row tells to who counts decisions and steps, in order. `arrived`: the event that came in with it. */
export const newsOf = (
  before: VmRow | undefined,
  { row, records }: Change,
  arrived: Facts | null,
): readonly (Decided | Begun)[] => {
  const news: (Decided | Begun)[] = [];
  let rule = before?.incident?.rule ?? '';
  let event = before?.incident?.facts.sequence ?? 0;
  for (const { incidentId, body } of records) {
    if (body?.$case === 'decision') {
      const decision = body.value;
      const sequence = Number(decision.eventSequence);
      if (incidentId !== '') {
        rule = decision.rule;
        event = sequence;
      }
      const facts = factsOf(sequence, arrived, before);
      if (facts === null) continue;
      news.push({ kind: 'decided', vm: row.id, incident: incidentId, facts, decision });
    } else if (body?.$case === 'step') {
      const { state, verb } = body.value;
      const held = verb === 'hold' && state === StepState.APPLIED;
      if (state === StepState.STARTED || held) {
        news.push({ kind: 'begun', vm: row.id, rule, verb, event });
      }
    }
  }
  return news;
};

/** The event that was decided on: it has just come, waited for its turn, or is answered once more. */
const factsOf = (
  sequence: number,
  arrived: Facts | null,
  before: VmRow | undefined,
): Facts | null =>
  [arrived, ...(before?.pending ?? []), before?.incident?.facts].find(
    (facts) => facts?.sequence === sequence,
  ) ?? null;
