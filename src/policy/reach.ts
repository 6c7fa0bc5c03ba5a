import { ANOMALIES, type Anomaly } from '../event/anomaly.js';
import type { EventType } from '../event/event-type.js';
import { type Initiator, ORIGINS } from '../event/report.js';
import { matches, otherwiseMatches, type Pattern, type Traits } from './match.js';
import type { Rule } from './policy.js';

/**
 * Which rules can come first. Events fall into finitely many kinds: type, initiator, origin, and no anomaly or
 * exactly one. More than one adds nothing: a rule that names several matches each alone, and DATA_UNTRUSTED
 * needs a rule that names it, whatever comes with it.
 */
const ANOMALY_SETS: readonly (readonly Anomaly[])[] = [[], ...ANOMALIES.map((name) => [name])];

/** The kinds of one type and initiator, which rules are asked for in order. */
const kinds = (type: EventType, initiator: Initiator): Traits[] =>
  ORIGINS.flatMap((origin) =>
    ANOMALY_SETS.map((anomalies) => ({ type, initiator, origin, anomalies })),
  );

/**
 * Takes the rules of a file in order. `add` gives the earlier rules that together leave this one nothing
 * (empty: it can be reached). A `conditional` rule (`vms`, `when`) leaves later ones what it turns down.
 */
export const reachability = <Name>(): {
  add(name: Name, pattern: Pattern, conditional: boolean): readonly Name[];
} => {
  const open = new Map<string, Kind<Name>[]>();
  const kindsOf = (type: EventType, initiator: Initiator): readonly Kind<Name>[] => {
    const key = `${type} ${initiator}`;
    const known = open.get(key);
    if (known !== undefined) return known;
    const fresh = kinds(type, initiator).map((traits) => ({ traits, takenBy: null }));
    open.set(key, fresh);
    return fresh;
  };
  return {
    add(name, pattern, conditional) {
      const earlier = new Set<Name>();
      let reached = false;
      for (const type of new Set(pattern.on)) {
        for (const initiator of new Set(pattern.initiator)) {
          for (const kind of kindsOf(type, initiator)) {
            if (!matches(pattern, kind.traits)) continue;
            if (kind.takenBy === null) {
              reached = true;
              if (!conditional) kind.takenBy = { name };
            } else {
              earlier.add(kind.takenBy.name);
            }
          }
        }
      }
      return reached ? [] : [...earlier];
    },
  };
};

interface Kind<Name> {
  readonly traits: Traits;
  takenBy: { readonly name: Name } | null;
}

/** The rules that some event of this type and initiator may come to, in order; null stands for `otherwise`. */
export const answersTo = <Item extends Pattern & Partial<Pick<Rule, 'when'>>>(
  rules: readonly Item[],
  type: EventType,
  initiator: Initiator,
): readonly (Item | null)[] => {
  const answers: (Item | null)[] = [];
  let open = kinds(type, initiator);
  for (const rule of rules) {
    const rest = open.filter((traits) => !matches(rule, traits));
    if (rest.length < open.length) answers.push(rule);
    if ((rule.when ?? null) === null) open = rest;
  }
  return open.some(otherwiseMatches) ? [...answers, null] : answers;
};
