import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ANOMALIES } from '../../src/event/anomaly.js';
import { INITIATORS, ORIGINS } from '../../src/event/report.js';
import { matches, type Pattern, type Traits } from '../../src/policy/match.js';
import { answersTo, reachability } from '../../src/policy/reach.js';

// Few words, so that rules often cover each other.
const TYPES = ['CRASH', 'RESET', 'UNKNOWN'] as const;
const ODD = ['DATA_UNTRUSTED', 'LEGACY_FLAGS', 'NO_REASON'] as const;
const some = <Word>(words: readonly Word[]) =>
  fc.subarray([...words], { minLength: 1, maxLength: words.length });
const patterns: fc.Arbitrary<Pattern> = fc.record({
  on: some(TYPES),
  initiator: some(INITIATORS.slice(0, 2)),
  origin: fc.option(some(ORIGINS), { nil: null }),
  anomaly: fc.option(some(ODD), { nil: null }),
});

/** Every event there can be, as far as these rules can tell. */
const events: readonly Traits[] = TYPES.flatMap((type) =>
  INITIATORS.flatMap((initiator) =>
    ORIGINS.flatMap((origin) =>
      Array.from({ length: 1 << (ODD.length + 1) }, (_, bits) => ({
        type,
        initiator,
        origin,
        anomalies: [...ODD, ANOMALIES[19] ?? 'CONDITION_ERROR'].filter(
          (__, bit) => (bits >> bit) & 1,
        ),
      })),
    ),
  ),
);

it('a rule can be reached exactly when some event comes to it first', () => {
  fc.assert(
    fc.property(fc.array(patterns, { minLength: 1, maxLength: 6 }), (rules) => {
      const firsts = new Set(
        events.map((event) => rules.findIndex((rule) => matches(rule, event))),
      );
      const reach = reachability<number>();
      for (const [index, rule] of rules.entries()) {
        const earlier = reach.add(index, rule, false);
        expect(earlier.length === 0).toBe(firsts.has(index));
        for (const other of earlier) expect(other).toBeLessThan(index);
      }
      const ofCrash = events.filter(
        ({ type, initiator }) => type === 'CRASH' && initiator === 'guest',
      );
      const answering = new Set(ofCrash.map((event) => rules.find((rule) => matches(rule, event))));
      answering.delete(undefined);
      const answers = answersTo(rules, 'CRASH', 'guest').filter((answer) => answer !== null);
      expect(new Set(answers)).toEqual(answering);
    }),
    { numRuns: 150 },
  );
});
