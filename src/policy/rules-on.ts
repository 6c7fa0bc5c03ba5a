import type { EventType } from '../event/event-type.js';
import type { Rule } from './policy.js';

/** The rules that name a type, in order. Made once for each list of rules. */
export const rulesOn = (rules: readonly Rule[], type: EventType): readonly Rule[] => {
  let index = indexes.get(rules);
  if (index === undefined) {
    index = new Map();
    indexes.set(rules, index);
  }
  let found = index.get(type);
  if (found === undefined) {
    found = rules.filter(({ on }) => on.includes(type));
    index.set(type, found);
  }
  return found;
};

const indexes = new WeakMap<readonly Rule[], Map<EventType, readonly Rule[]>>();
