import { expect, test } from 'vitest';
import { sample } from '../../src/telemetry/metrics/collector.js';
import { IncidentTimes } from '../../src/telemetry/metrics/incident-times.js';
import { Instruments } from '../../src/telemetry/metrics/instruments.js';
import { createScrape } from '../../src/telemetry/metrics/scrape.js';
import { parseExposition } from '../support/exposition.js';

test('a part that throws, rejects or hangs is left out and counted; the rest is there', async () => {
  const instruments = new Instruments();
  const scrape = createScrape(
    instruments,
    () => [
      { group: 'good', collect: () => [sample('vmwarden_ready', 1)] },
      {
        group: 'throws',
        collect: () => {
          throw new Error('no');
        },
      },
      { group: 'rejects', collect: () => Promise.reject(new Error('no')) },
      { group: 'hangs', collect: () => new Promise(() => undefined) },
    ],
    50,
  );
  const scraped = parseExposition(await scrape());
  expect(scraped.value('vmwarden_ready')).toBe(1);
  for (const group of ['throws', 'rejects', 'hangs']) {
    expect(scraped.value('vmwarden_collect_failures_total', { group })).toBe(1);
  }
  expect(scraped.value('vmwarden_collect_failures_total', { group: 'good' })).toBe(undefined);
});

test('all who ask while a scrape is made get that one', async () => {
  let made = 0;
  let finish: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const collect = async () => {
    made += 1;
    await held;
    return [sample('vmwarden_ready', 1)];
  };
  const scrape = createScrape(new Instruments(), () => [{ group: 'one', collect }]);
  const asked = Array.from({ length: 100 }, () => scrape());
  finish();
  expect(new Set(await Promise.all(asked)).size).toBe(1);
  expect(made).toBe(1);
});

test('a gauge that nobody reads any more is gone; hostile label values stay one line', async () => {
  const instruments = new Instruments();
  const before = parseExposition(await instruments.text([sample('vmwarden_ready', 1)]));
  expect(before.value('vmwarden_ready')).toBe(1);
  instruments.count('vmwarden_decisions_total', { rule: 'a"b\\c\nd\r\0', answer: 'act' });
  const after = parseExposition(await instruments.text([]));
  expect(after.value('vmwarden_ready')).toBe(undefined);
  expect(after.value('vmwarden_decisions_total', { rule: 'a"b\\c d  ' })).toBe(1);
});

test('times of one incident are not taken for those of another', () => {
  const times = new IncidentTimes();
  times.event(1, 1_000);
  times.event(2, 3_000);
  const first = { incident: 'i-1', event: 1, delayed: false };
  expect(times.decided('web-1', first, 1_010)).toBe(0.01);
  expect(times.acted('web-1', 'i-1', 1_020)).toEqual({ seconds: 0.02, delayed: false });
  expect(times.acted('web-1', 'i-1', 1_500), 'a retry').toBe(null);
  expect(times.decided('web-1', { incident: 'i-2', event: 2, delayed: true }, 4_000)).toBe(1);
  expect(times.recovered('web-1', 'i-1', 4_100), 'the one before').toBe(null);
  expect(times.recovered('web-1', 'i-2', 5_000)).toEqual({ seconds: 2, delayed: true });
  expect(times.recovered('web-1', 'i-2', 6_000), 'told twice').toBe(null);
  expect(times.decided('web-2', { incident: 'i-9', event: 9, delayed: false }, 1)).toBe(null);
  for (let sequence = 10; sequence < 10_010; sequence += 1) times.event(sequence, 0);
  expect(times.decided('web-3', { incident: 'x', event: 10, delayed: false }, 1)).toBe(null);
});
