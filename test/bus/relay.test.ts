import { afterEach, describe, expect, test } from 'vitest';
import type { Batch, Bus } from '../../src/bus/bus.js';
import { MemoryBus, MemoryFleet } from '../../src/bus/memory-bus.js';
import { type Relay, type RelayLimits, startRelay } from '../../src/bus/relay.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import { Fault } from '../../src/lib/fault.js';
import { waitFor } from '../support/wait-for.js';

const HOUR = 3_600_000;
const running: Relay[] = [];
afterEach(async () => {
  for (const relay of running.splice(0)) await relay.stop(0);
});

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const FAST = { retryBaseMs: 1, retryMaxMs: 5, beatMs: 10 };

const start = (
  journal: MemoryJournal,
  bus: Bus,
  limits: Partial<RelayLimits> = {},
  wallMs: () => number = Date.now,
): Relay => {
  const relay = startRelay({
    journal,
    bus,
    lossMarker: (first, last) => Buffer.from(`lost ${first}-${last}`),
    wallMs,
    log: silent,
    limits: { ...FAST, ...limits },
  });
  running.push(relay);
  return relay;
};

const append = async (journal: MemoryJournal, count: number): Promise<void> => {
  const records = Array.from({ length: count }, (_, index) => ({
    vm: '',
    bytes: Buffer.from(`record ${journal.next + index}`),
  }));
  await journal.append({ kind: 'ingest', records, rows: [] }).durable;
};

const texts = (fleet: MemoryFleet): string[] =>
  fleet.entries.map(({ bytes }) => Buffer.from(bytes).toString());
const recordTexts = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, index) => `record ${first + index}`);
const caughtUp = (relay: Relay): Promise<void> =>
  waitFor(
    'the relay has caught up',
    () => relay.status().state === 'relaying' && relay.status().lag === 0,
  );

/** Calls go through, until a test puts something in their way. */
class WrappedBus implements Bus {
  batches: Batch[] = [];
  before: (batch: Batch) => Promise<void> = async () => undefined;
  open: Bus['open'];
  beat: Bus['beat'];
  leave: Bus['leave'];
  onLost: Bus['onLost'];
  close: Bus['close'];
  readonly #inner: Bus;
  constructor(inner: Bus) {
    this.#inner = inner;
    this.open = () => inner.open();
    this.beat = () => inner.beat();
    this.leave = () => inner.leave();
    this.onLost = (listener) => inner.onLost(listener);
    this.close = () => inner.close();
  }
  async publish(batch: Batch): Promise<number> {
    this.batches.push(batch);
    await this.before(batch);
    return this.#inner.publish(batch);
  }
}

describe('the relay', () => {
  test('publishes what is there, and what comes', async () => {
    const [journal, fleet] = [new MemoryJournal(), new MemoryFleet()];
    await append(journal, 25);
    const relay = start(journal, new MemoryBus(fleet, 'a', journal.id), { batchRecords: 10 });
    await caughtUp(relay);
    await append(journal, 5);
    await waitFor('all are there', () => fleet.entries.length === 30);
    expect(texts(fleet)).toEqual(recordTexts(1, 30));
    expect(fleet.entries.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: 30 }, (_, index) => index + 1),
    );
  });

  test('goes on behind what the bus has', async () => {
    const [journal, fleet] = [new MemoryJournal(), new MemoryFleet()];
    await append(journal, 5);
    const first = start(journal, new MemoryBus(fleet, 'a', journal.id));
    await first.stop(1_000);
    expect(texts(fleet)).toEqual(recordTexts(1, 5));
    await append(journal, 5);
    await caughtUp(start(journal, new MemoryBus(fleet, 'a', journal.id)));
    expect(texts(fleet)).toEqual(recordTexts(1, 10));
  });

  test('sends again what the bus has lost, though nothing new comes', async () => {
    const [journal, fleet] = [new MemoryJournal(), new MemoryFleet()];
    await append(journal, 5);
    const relay = start(journal, new MemoryBus(fleet, 'a', journal.id));
    await caughtUp(relay);
    fleet.clear();
    await waitFor('all are there again', () => fleet.entries.length === 5);
    expect(texts(fleet)).toEqual(recordTexts(1, 5));
  });

  test('opens anew when the connection is lost', async () => {
    const [journal, fleet] = [new MemoryJournal(), new MemoryFleet()];
    const bus = new MemoryBus(fleet, 'a', journal.id);
    const relay = start(journal, bus);
    await caughtUp(relay);
    bus.lose();
    await append(journal, 3);
    await waitFor('all are there', () => fleet.entries.length === 3);
  });

  test('puts a marker in the place of the last record that the journal dropped', async () => {
    const [journal, fleet] = [new MemoryJournal(), new MemoryFleet()];
    await append(journal, 10);
    await journal.trim(4);
    await caughtUp(start(journal, new MemoryBus(fleet, 'a', journal.id)));
    expect(texts(fleet)).toEqual(['lost 1-4', ...recordTexts(5, 10)]);
    expect(fleet.entries[0]?.sequence).toBe(4);
  });

  test('marks also when everything was dropped', async () => {
    const [journal, fleet] = [new MemoryJournal(), new MemoryFleet()];
    await append(journal, 3);
    await journal.trim(3);
    const relay = start(journal, new MemoryBus(fleet, 'a', journal.id));
    await caughtUp(relay);
    expect(texts(fleet)).toEqual(['lost 1-3']);
  });

  test('begins a new journal at 1, and goes on with one that comes back', async () => {
    const fleet = new MemoryFleet();
    const [old, fresh] = [new MemoryJournal(), new MemoryJournal()];
    await append(old, 3);
    await append(fresh, 2);
    await start(old, new MemoryBus(fleet, 'a', old.id)).stop(1_000);
    await start(fresh, new MemoryBus(fleet, 'a', fresh.id)).stop(1_000);
    await append(old, 1);
    await start(old, new MemoryBus(fleet, 'a', old.id)).stop(1_000);
    const short = (id: string): string => (id === old.id ? 'old' : 'fresh');
    expect(fleet.entries.map((it) => `${short(it.journalId)} ${it.sequence}`)).toEqual([
      'old 1',
      'old 2',
      'old 3',
      'fresh 1',
      'fresh 2',
      'old 4',
    ]);
  });

  test('two hosts of one name both stop and say so; when one goes, the other goes on', async () => {
    const fleet = new MemoryFleet();
    const [one, two] = [new MemoryJournal(), new MemoryJournal()];
    await append(one, 1);
    await append(two, 1);
    const first = start(one, new MemoryBus(fleet, 'a', one.id));
    await caughtUp(first);
    const second = start(two, new MemoryBus(fleet, 'a', two.id));
    for (const relay of [first, second]) {
      await waitFor('it says so', () => relay.status().fault?.reason === 'BUS_TWIN');
    }
    await second.stop(0);
    await append(one, 1);
    await caughtUp(first);
    expect(fleet.entries.map(({ journalId }) => journalId === one.id)).toEqual([true, true]);
  });

  test('a journal that is behind what it published is not taken for the same', async () => {
    const [journal, fleet] = [new MemoryJournal(), new MemoryFleet()];
    await append(journal, 3);
    fleet.published.set('a', { journalId: journal.id, sequence: 9 });
    const relay = start(journal, new MemoryBus(fleet, 'a', journal.id));
    await waitFor('it says so', () => relay.status().fault?.reason === 'BUS_AHEAD');
    await append(journal, 3);
    expect(fleet.entries).toEqual([]);
  });

  test('holds a bounded number of batches, however slow the bus is', async () => {
    const [journal, fleet] = [new MemoryJournal(), new MemoryFleet()];
    const bus = new WrappedBus(new MemoryBus(fleet, 'a', journal.id));
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    bus.before = () => released;
    await append(journal, 100);
    const relay = start(journal, bus, { batchRecords: 10, batchesInFlight: 3, beatMs: 60_000 });
    await waitFor('three are under way', () => bus.batches.length === 3);
    await append(journal, 1);
    expect(bus.batches.length).toBe(3);
    release();
    await caughtUp(relay);
    expect(texts(fleet)).toEqual(recordTexts(1, 101));
  });

  test('sends less at once where answers do not come in time', async () => {
    const [journal, fleet] = [new MemoryJournal(), new MemoryFleet()];
    const bus = new WrappedBus(new MemoryBus(fleet, 'a', journal.id));
    bus.before = async ({ records }) => {
      if (records.length > 8) throw new Fault('UNAVAILABLE', 'BUS_UNAVAILABLE', 'timed out');
    };
    await append(journal, 400);
    await caughtUp(start(journal, bus, { batchRecords: 128 }));
    expect(texts(fleet)).toEqual(recordTexts(1, 400));
  });

  test('asks retention for all until a day after it was published, across a restart too', async () => {
    const [journal, fleet] = [new MemoryJournal(), new MemoryFleet()];
    let now = Date.now();
    const wallMs = (): number => now;
    await append(journal, 5);
    const first = start(journal, new MemoryBus(fleet, 'a', journal.id), {}, wallMs);
    expect(first.floor()).toBe(0);
    await caughtUp(first);
    expect(first.floor()).toBe(1);
    await first.stop(0);

    now += 23 * HOUR;
    const second = start(journal, new MemoryBus(fleet, 'a', journal.id), {}, wallMs);
    await append(journal, 5);
    await caughtUp(second);
    expect(second.floor()).toBe(1);
    now += 2 * HOUR;
    expect(second.floor()).toBe(6);
    const noted = (): string => Buffer.from(journal.lookup('relay/published') ?? []).toString();
    await waitFor('a beat has noted it', () => noted().includes(String(now)));
    now += 24 * HOUR;
    expect(second.floor()).toBe(11);
  });

  test('a stop journals that the host closes, behind all else, and publishes it', async () => {
    const [journal, fleet] = [new MemoryJournal(), new MemoryFleet()];
    await append(journal, 3);
    const relay = startRelay({
      journal,
      bus: new MemoryBus(fleet, 'a', journal.id),
      lossMarker: () => Buffer.from('lost'),
      closedRecord: () => Buffer.from('closed'),
      wallMs: Date.now,
      log: silent,
      limits: FAST,
    });
    await relay.stop(10_000);
    expect(texts(fleet)).toEqual([...recordTexts(1, 3), 'closed']);
    expect(relay.status()).toMatchObject({ state: 'stopped', lag: 0, published: 4 });
  });

  test('a stop without a bus leaves that record in the journal, and the next start publishes it', async () => {
    const [journal, fleet] = [new MemoryJournal(), new MemoryFleet()];
    const gone = new WrappedBus(new MemoryBus(fleet, 'a', journal.id));
    gone.open = async () => {
      throw new Fault('UNAVAILABLE', 'BUS_UNAVAILABLE', 'refused');
    };
    const options = {
      journal,
      lossMarker: () => Buffer.from('lost'),
      closedRecord: () => Buffer.from('closed'),
      wallMs: Date.now,
      log: silent,
      limits: FAST,
    };
    await startRelay({ ...options, bus: gone }).stop(20);
    expect(fleet.entries).toEqual([]);
    await caughtUp(start(journal, new MemoryBus(fleet, 'a', journal.id)));
    expect(texts(fleet)).toEqual(['closed']);
  });

  test('a stop drains what is durable, and does not wait for a bus that is gone', async () => {
    const [journal, fleet] = [new MemoryJournal(), new MemoryFleet()];
    const relay = start(journal, new MemoryBus(fleet, 'a', journal.id), { batchRecords: 1 });
    await append(journal, 50);
    await relay.stop(5_000);
    expect(fleet.entries.length).toBe(50);
    expect(fleet.holders.size).toBe(0);
    expect(relay.status()).toMatchObject({ state: 'stopped', lag: 0 });

    const gone = new WrappedBus(new MemoryBus(fleet, 'b', journal.id));
    gone.open = async () => {
      throw new Fault('UNAVAILABLE', 'BUS_UNAVAILABLE', 'refused');
    };
    const other = start(journal, gone, { retryBaseMs: 60_000, retryMaxMs: 60_000 });
    await waitFor('it waits', () => other.status().state === 'waiting');
    const before = performance.now();
    await other.stop(60_000);
    expect(performance.now() - before).toBeLessThan(10_000);
    expect(other.status().lag).toBe(50);
  });
});
