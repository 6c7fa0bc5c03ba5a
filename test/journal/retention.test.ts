import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { planTrim, type RetentionState, startRetention } from '../../src/journal/retention.js';
import { commitOf, readAll, textBytes } from '../support/journal-commits.js';
import { type JournalHarness, lmdbHarness, memoryHarness } from '../support/journal-harness.js';

const state = (rest: {
  oldest?: number;
  newest?: number;
  recordBytes?: number;
  floor?: number;
  aged?: number;
}): RetentionState => ({
  status: {
    oldest: rest.oldest ?? 1,
    newest: rest.newest ?? 1000,
    // Mostly rows: no reason to drop records.
    usedBytes: 1e6,
    recordBytes: rest.recordBytes ?? 500,
    freeBytes: 0,
    refusing: null,
    waitingMs: 0,
  },
  limits: { maxAgeMs: 0, maxBytes: 1000, hardMaxBytes: 2000 },
  floor: rest.floor ?? Number.POSITIVE_INFINITY,
  aged: rest.aged ?? 0,
});

describe('planTrim', () => {
  it.each([
    ['nothing', state({}), null],
    ['nothing of an empty journal', state({ oldest: 0, newest: 0, recordBytes: 5000 }), null],
    ['nothing when all is dropped', state({ oldest: 1001, recordBytes: 5000 }), null],
    ['what is too old', state({ aged: 300 }), { through: 300, loss: false, why: 'age' }],
    ['all, when all is too old', state({ aged: 1000 }), { through: 1000, loss: false, why: 'age' }],
    [
      'what is too old up to what is needed',
      state({ aged: 300, floor: 200 }),
      { through: 199, loss: false, why: 'age' },
    ],
    ['nothing that is needed', state({ aged: 300, floor: 1 }), null],
    ['what is too much', state({ recordBytes: 1900 }), { through: 500, loss: false, why: 'size' }],
    ['nothing needed below the hard limit', state({ recordBytes: 1900, floor: 1 }), null],
    [
      'what nobody needs before what is needed',
      state({ recordBytes: 3800, floor: 2 }),
      { through: 1, loss: false, why: 'size' },
    ],
    [
      'what is needed above the hard limit',
      state({ recordBytes: 3800, floor: 1 }),
      { through: 500, loss: true, why: 'hardLimit' },
    ],
    ['not the marker alone', state({ recordBytes: 3800, floor: 1, oldest: 1000 }), null],
  ])('drops %s', (_, given, plan) => {
    expect(planTrim(given)).toEqual(plan);
  });

  it('never goes past what is needed without saying so, nor past the newest', () => {
    const size = fc.nat(10_000);
    fc.assert(
      fc.property(size, size, size, size, size, (a, b, recordBytes, floor, aged) => {
        const oldest = Math.min(a, b) + 1;
        const newest = Math.max(a, b) + 1;
        const plan = planTrim(state({ oldest, newest, recordBytes, floor: floor + 1, aged }));
        if (!plan) return;
        expect(plan.through).toBeGreaterThanOrEqual(oldest);
        expect(plan.through).toBeLessThanOrEqual(newest);
        if (plan.loss) expect(recordBytes).toBeGreaterThan(2000);
        else expect(plan.through).toBeLessThan(floor + 1);
      }),
    );
  });
});

describe('startRetention', () => {
  let harness: JournalHarness | null = null;
  afterEach(() => harness?.dispose());

  const HOUR = 3_600_000;
  const DAY = 24 * HOUR;
  /** Both clocks begin at 0 and go on by `pass`; `jump` sets the wall clock alone. */
  const clocks = () => {
    let [wallMs, monoMs] = [0, 0];
    return {
      now: () => ({ wallMs, monoMs, hostBootId: 'b' }),
      pass: (ms: number) => {
        wallMs += ms;
        monoMs += ms;
      },
      jump: (ms: number) => {
        wallMs += ms;
      },
    };
  };
  const none = () => new Uint8Array(0);
  const endless = Number.POSITIVE_INFINITY;

  it('drops by age, up to what is needed', async () => {
    harness = await memoryHarness();
    const { journal } = harness;
    for (let at = 1; at <= 10; at++) {
      harness.setTime(at * 1000);
      await journal.append(commitOf([`${at}`])).durable;
    }
    let floor = 4;
    const clock = clocks();
    const retention = startRetention({
      journal,
      limits: { maxAgeMs: HOUR, maxBytes: endless, hardMaxBytes: endless },
      floor: () => floor,
      lossMarker: none,
      clock,
    });
    clock.pass(HOUR - 1);
    await retention.run();
    expect(journal.status().oldest).toBe(1);
    clock.pass(7_501);
    await retention.run();
    expect(journal.status().oldest).toBe(4);
    floor = endless;
    await Promise.all([retention.run(), retention.run()]);
    expect(journal.status().oldest).toBe(8);
    await retention.stop();
    floor = endless;
    await retention.run();
    expect(journal.status().oldest).toBe(8);
  });

  it('does not follow a clock that jumps ahead, says so once, and follows it back', async () => {
    harness = await memoryHarness();
    const { journal } = harness;
    const clock = clocks();
    for (let day = 0; day < 10; day++) {
      harness.setTime(day * DAY);
      await journal.append(commitOf([`${day}`])).durable;
    }
    clock.pass(10 * DAY);
    const logged: unknown[] = [];
    const retention = startRetention({
      journal,
      limits: { maxAgeMs: 8 * DAY, maxBytes: endless, hardMaxBytes: endless },
      floor: () => endless,
      lossMarker: none,
      clock,
      log: { info: () => undefined, warn: (fields) => void logged.push(fields) },
    });
    clock.pass(HOUR);
    clock.jump(365 * DAY);
    await retention.run();
    await retention.run();
    // As on day 11, the day that a clock may be wrong by: days 0 to 3 are older than 8 days.
    expect(journal.status().oldest).toBe(5);
    expect(logged).toEqual([{ aheadMs: 364 * DAY, kept: 6 }]);
    clock.jump(-365 * DAY);
    clock.pass(2 * DAY);
    await retention.run();
    expect(journal.status().oldest).toBe(6);
    expect(logged).toHaveLength(1);
    await retention.stop();
  });

  it('drops no record for what rows take', async () => {
    harness = await lmdbHarness();
    const { journal } = harness;
    const value = new Uint8Array(10_000);
    const rows = Array.from({ length: 200 }, (_, at) => ({ key: `row-${at}`, value }));
    await journal.append({ ...commitOf(['kept']), rows }).durable;
    const { usedBytes, recordBytes } = journal.status();
    expect(usedBytes).toBeGreaterThan(2_000_000);
    expect(recordBytes).toBeLessThan(100_000);
    const retention = startRetention({
      journal,
      limits: { maxAgeMs: endless, maxBytes: 1_000_000, hardMaxBytes: 1_500_000 },
      floor: () => endless,
      lossMarker: none,
      clock: clocks(),
    });
    await retention.run();
    expect(journal.status()).toMatchObject({ oldest: 1, newest: 1 });
    await retention.stop();
  });

  it('keeps below its limits on LMDB, and marks what was still needed', async () => {
    harness = await lmdbHarness();
    const { journal } = harness;
    for (let at = 1; at <= 2000; at++) journal.append(commitOf(['x'.repeat(1000)]));
    await journal.append(commitOf([])).durable;
    const used = journal.status().usedBytes;
    const logged: string[] = [];
    const log = {
      info: (_: object, message: string) => void logged.push(message),
      warn: (_: object, message: string) => void logged.push(message),
    };
    const retention = startRetention({
      journal,
      limits: { maxAgeMs: 1e12, maxBytes: used / 4, hardMaxBytes: used / 2 },
      floor: () => 101,
      lossMarker: (first, last) => textBytes(`lost ${first}-${last}`),
      clock: clocks(),
      log,
    });
    await retention.run();
    const { oldest, newest, usedBytes } = journal.status();
    expect(usedBytes).toBeLessThanOrEqual(used / 2);
    expect(usedBytes).toBeGreaterThan(used / 4);
    const [, last] = (await readAll(journal, newest - 1))[0] ?? [];
    expect(last).toMatch(new RegExp(`^lost \\d+-${oldest - 1}$`));
    expect(logged[0]).toBe('dropped old records');
    expect(logged[1]).toMatch(/still needed/);
    await retention.stop();
  });

  it('survives a journal that fails', async () => {
    harness = await memoryHarness();
    await harness.journal.close();
    const logged: string[] = [];
    const retention = startRetention({
      journal: harness.journal,
      limits: { maxAgeMs: 0, maxBytes: 0, hardMaxBytes: 0 },
      floor: () => {
        throw new Error('unknown');
      },
      lossMarker: none,
      clock: clocks(),
      log: { info: () => undefined, warn: (_, message) => void logged.push(message) },
    });
    await retention.run();
    expect(logged).toEqual(['dropping old records failed; tried again later']);
    await retention.stop();
  });
});
