import type { Anomaly } from '../event/anomaly.js';
import type { EventType } from '../event/event-type.js';
import type { Initiator, Origin } from '../event/report.js';
import type { Rule } from './policy.js';

/** What of an event a rule looks at. */
export interface Traits {
  readonly type: EventType;
  readonly initiator: Initiator;
  readonly origin: Origin;
  readonly anomalies: readonly Anomaly[];
}

export type Pattern = Pick<Rule, 'on' | 'initiator' | 'origin' | 'anomaly'>;

/** An event with this anomaly is answered only by a rule that names it. */
export const UNTRUSTED: Anomaly = 'DATA_UNTRUSTED';

export const isUntrusted = (traits: Traits): boolean => traits.anomalies.includes(UNTRUSTED);

export const matches = (pattern: Pattern, traits: Traits): boolean =>
  matchesLoosely(pattern, traits) &&
  (!isUntrusted(traits) || (pattern.anomaly?.includes(UNTRUSTED) ?? false));

/** As if the event could be trusted. */
export const matchesLoosely = (pattern: Pattern, traits: Traits): boolean =>
  pattern.on.includes(traits.type) &&
  pattern.initiator.includes(traits.initiator) &&
  (pattern.origin === null || pattern.origin.includes(traits.origin)) &&
  (pattern.anomaly === null || pattern.anomaly.some((name) => traits.anomalies.includes(name)));

/** Whether `otherwise` may act: as a rule without `initiator`, and never on what is unknown or untrusted. */
export const otherwiseMatches = (traits: Traits): boolean =>
  (traits.initiator === 'guest' || traits.initiator === 'unknown') &&
  traits.type !== 'UNKNOWN' &&
  !isUntrusted(traits);
