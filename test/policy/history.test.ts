import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ageMs, type Moment } from '../../src/lib/clock.js';
import { countWithin, type History, MAX_COUNTED, remember } from '../../src/policy/history.js';
import { moment, TestHost } from './policies.js';

it('counts what is younger than the window', () => {
  let history: History = {};
  for (const at of [0, 1_000, 2_000]) history = remember(history, 'CRASH', moment(at), 1);
  history = remember(history, 'RESET', moment(2_000), 3);
  const count = (within: number) => countWithin(history, 'CRASH', within, moment(2_500));
  expect([count(500), count(501), count(1_501), count(10_000)]).toEqual([0, 1, 2, 3]);
  expect(countWithin(history, 'RESET', 1_000, moment(2_500))).toBe(3);
  expect(countWithin(history, 'WATCHDOG', 1_000, moment(2_500))).toBe(0);
});

it('keeps the newest of each type, and no more than its bound', () => {
  let history = remember({}, 'CRASH', moment(0), 1);
  for (let at = 0; at < 3 * MAX_COUNTED; at += 1) {
    history = remember(history, 'RESET', moment(at * 1_000), 1);
  }
  const now = moment(3 * MAX_COUNTED * 1_000);
  expect(countWithin(history, 'RESET', 1e12, now)).toBe(MAX_COUNTED);
  expect(countWithin(history, 'CRASH', 1e12, now)).toBe(1);
  expect(JSON.stringify(history).length).toBeLessThan(MAX_COUNTED * 12);
});

const happenings = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('event' as const),
        times: fc.integer({ min: 1, max: 3 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('pass' as const),
        ms: fc.integer({ min: 0, max: 5_000 }),
      }),
    },
    fc.record({
      kind: fc.constant('step' as const),
      ms: fc.integer({ min: -60_000, max: 60_000 }),
    }),
    fc.constant({ kind: 'reboot' as const }),
  ),
  { maxLength: 60 },
);

it('counts as going over every event one by one would, across reboots and steps of the clock', () => {
  fc.assert(
    fc.property(happenings, fc.integer({ min: 1, max: 120_000 }), (list, within) => {
      const host = new TestHost();
      const all: Moment[] = [];
      let history: History = {};
      for (const one of list) {
        switch (one.kind) {
          case 'event':
            for (let time = 0; time < one.times; time += 1) all.push(host.now());
            history = remember(history, 'CRASH', host.now(), one.times);
            break;
          case 'pass':
            host.pass(one.ms);
            break;
          case 'step':
            host.stepWallClock(one.ms);
            break;
          case 'reboot':
            host.reboot();
        }
      }
      const now = host.now();
      // A row as it was read back counts the same.
      const read = JSON.parse(JSON.stringify(history)) as History;
      const found = countWithin(read, 'CRASH', within, now);
      // Of an earlier boot of the host a moment is kept to the second.
      const slack = (at: Moment) => (at.hostBootId === now.hostBootId ? 0 : 1_000);
      const least = all.filter((at) => ageMs(at, now) + slack(at) < within).length;
      const most = all.filter((at) => ageMs(at, now) - slack(at) < within).length;
      expect(found).toBeGreaterThanOrEqual(Math.min(least, MAX_COUNTED));
      expect(found).toBeLessThanOrEqual(most);
    }),
  );
});
