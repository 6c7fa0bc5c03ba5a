import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Batch, Bus } from '../../src/bus/bus.js';

export interface BusHarness {
  /** Of a process of its own. */
  bus(host: string, journalId: string): Bus;
  /** What the stream has of a host, in its order: `<journal id>:<sequence>=<text>`. */
  entries(host: string): Promise<string[]>;
  /** Loses everything, as FLUSHALL does; connections stay. */
  forget(): Promise<void>;
  dispose(): Promise<void>;
}

const A = 'a'.repeat(32);
const B = 'b'.repeat(32);
const C = 'c'.repeat(32);

/** Records `first` to `last`, each with its number as text. */
export const batchOf = (first: number, last: number, rest: Partial<Batch> = {}): Batch => ({
  from: first,
  records: Array.from({ length: last - first + 1 }, (_, at) => ({
    sequence: first + at,
    bytes: Buffer.from(`${first + at}`),
  })),
  replaces: null,
  ...rest,
});

const texts = (journalId: string, first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, at) => `${journalId}:${first + at}=${first + at}`);

/** What every Bus must do, run over each implementation. */
export function busContract(name: string, open: () => Promise<BusHarness>): void {
  describe(`${name} keeps the bus's contract`, () => {
    let harness: BusHarness;
    const buses: Bus[] = [];
    const busOf = (host: string, journalId: string): Bus => {
      const bus = harness.bus(host, journalId);
      buses.push(bus);
      return bus;
    };
    /** Opened. */
    const opened = async (host: string, journalId: string): Promise<Bus> => {
      const bus = busOf(host, journalId);
      await bus.open();
      return bus;
    };

    beforeEach(async () => {
      harness = await open();
    });
    afterEach(async () => {
      for (const bus of buses.splice(0)) bus.close();
      await harness.dispose();
    });

    describe('publishing', () => {
      it('begins with nothing, and says what it has from then on', async () => {
        const bus = busOf('h', A);
        expect(await bus.open()).toBeNull();
        expect(await bus.publish(batchOf(1, 3))).toBe(3);
        expect(await bus.publish(batchOf(4, 4))).toBe(4);
        expect((await bus.beat()).published).toEqual({ journalId: A, sequence: 4, ours: 4 });
        expect(await bus.open()).toEqual({ journalId: A, sequence: 4, ours: 4 });
        expect(await harness.entries('h')).toEqual(texts(A, 1, 4));
      });

      it('skips what it has already, and takes the rest', async () => {
        const bus = await opened('h', A);
        await bus.publish(batchOf(1, 5));
        expect(await bus.publish(batchOf(1, 5))).toBe(5);
        expect(await bus.publish(batchOf(2, 3))).toBe(5);
        expect(await bus.publish(batchOf(4, 8))).toBe(8);
        expect(await harness.entries('h')).toEqual(texts(A, 1, 8));
      });

      it('refuses a hole, and nothing of the batch is published', async () => {
        const bus = await opened('h', A);
        await expect(bus.publish(batchOf(2, 3))).rejects.toMatchObject({ reason: 'BUS_GAP' });
        await bus.open();
        await bus.publish(batchOf(1, 3));
        await expect(bus.publish(batchOf(5, 6))).rejects.toMatchObject({ reason: 'BUS_GAP' });
        expect(await harness.entries('h')).toEqual(texts(A, 1, 3));
      });

      it('takes batches that don’t wait for each other in the order of the calls', async () => {
        const bus = await opened('h', A);
        const last = await Promise.all(
          Array.from({ length: 20 }, (_, at) => bus.publish(batchOf(at * 10 + 1, at * 10 + 10))),
        );
        expect(last).toEqual(Array.from({ length: 20 }, (_, at) => at * 10 + 10));
        expect(await harness.entries('h')).toEqual(texts(A, 1, 200));
      });

      it('refuses what is behind a batch that it refused', async () => {
        const bus = await opened('h', A);
        const settled = await Promise.allSettled([
          bus.publish(batchOf(1, 2)),
          bus.publish(batchOf(4, 5)),
          bus.publish(batchOf(6, 7)),
        ]);
        expect(settled.slice(1).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
        expect(await harness.entries('h')).toEqual(texts(A, 1, 2));
      });

      it('keeps bytes as they are, also none and all of them', async () => {
        const bus = await opened('h', A);
        const all = Uint8Array.from({ length: 256 }, (_, at) => at);
        await bus.publish({
          from: 1,
          records: [
            { sequence: 1, bytes: new Uint8Array(0) },
            { sequence: 2, bytes: all.subarray(10, 200) },
          ],
          replaces: null,
        });
        expect(await harness.entries('h')).toEqual([
          `${A}:1=`,
          `${A}:2=${Buffer.from(all.subarray(10, 200))}`,
        ]);
      });

      it('keeps hosts apart', async () => {
        const [one, two] = [await opened('one', A), await opened('two', A)];
        await Promise.all([one.publish(batchOf(1, 3)), two.publish(batchOf(1, 2))]);
        expect(await harness.entries('one')).toEqual(texts(A, 1, 3));
        expect(await harness.entries('two')).toEqual(texts(A, 1, 2));
        expect((await two.beat()).published).toEqual({ journalId: A, sequence: 2, ours: 2 });
      });

      it('takes sequences to the end of what a journal can give', async () => {
        const bus = await opened('h', A);
        const last = Number.MAX_SAFE_INTEGER;
        const marker = { sequence: last - 1, bytes: Buffer.from('lost') };
        await bus.publish({ from: 1, records: [marker], replaces: null });
        expect(await bus.publish(batchOf(last, last))).toBe(last);
        expect(await harness.entries('h')).toEqual([
          `${A}:${last - 1}=lost`,
          `${A}:${last}=${last}`,
        ]);
      });
    });

    describe('what the journal has lost', () => {
      it('takes a marker in the place of the last record that is gone', async () => {
        const bus = await opened('h', A);
        await bus.publish(batchOf(1, 2));
        const marker = { sequence: 9, bytes: Buffer.from('lost 3 to 9') };
        expect(await bus.publish({ from: 3, records: [marker], replaces: null })).toBe(9);
        await bus.publish(batchOf(10, 11));
        expect(await harness.entries('h')).toEqual([
          ...texts(A, 1, 2),
          `${A}:9=lost 3 to 9`,
          ...texts(A, 10, 11),
        ]);
      });

      it('refuses a marker that leaves a hole before it', async () => {
        const bus = await opened('h', A);
        await bus.publish(batchOf(1, 2));
        const marker = { sequence: 9, bytes: Buffer.from('lost') };
        await expect(
          bus.publish({ from: 5, records: [marker], replaces: null }),
        ).rejects.toMatchObject({ reason: 'BUS_GAP' });
        expect(await harness.entries('h')).toEqual(texts(A, 1, 2));
      });
    });

    describe('another journal of the same host', () => {
      const left = async (journalId: string, records: number): Promise<void> => {
        const bus = await opened('h', journalId);
        await bus.publish(batchOf(1, records));
        await bus.leave();
        bus.close();
      };

      it('begins at 1, and says what it replaces', async () => {
        await left(A, 5);
        const bus = busOf('h', B);
        expect(await bus.open()).toEqual({ journalId: A, sequence: 5, ours: 0 });
        await expect(bus.publish(batchOf(1, 2))).rejects.toMatchObject({ reason: 'BUS_GAP' });
        await bus.open();
        const wrong = batchOf(1, 2, { replaces: C });
        await expect(bus.publish(wrong)).rejects.toMatchObject({ reason: 'BUS_GAP' });
        await bus.open();
        const late = batchOf(3, 4, { replaces: A });
        await expect(bus.publish(late)).rejects.toMatchObject({ reason: 'BUS_GAP' });
        await bus.open();
        expect(await bus.publish(batchOf(1, 2, { replaces: A }))).toBe(2);
        expect(await bus.publish(batchOf(3, 3))).toBe(3);
        expect(await harness.entries('h')).toEqual([...texts(A, 1, 5), ...texts(B, 1, 3)]);
      });

      it('goes on where it stopped when it comes back', async () => {
        await left(A, 5);
        const second = await opened('h', B);
        await second.publish(batchOf(1, 2, { replaces: A }));
        await second.leave();
        second.close();
        const first = busOf('h', A);
        expect(await first.open()).toEqual({ journalId: B, sequence: 2, ours: 5 });
        expect(await first.publish(batchOf(6, 7, { replaces: B }))).toBe(7);
        expect((await first.beat()).published).toEqual({ journalId: A, sequence: 7, ours: 7 });
        expect(await harness.entries('h')).toEqual([
          ...texts(A, 1, 5),
          ...texts(B, 1, 2),
          ...texts(A, 6, 7),
        ]);
      });
    });

    describe('the host’s name', () => {
      it('goes to a process that starts over the same journal; the one before is refused', async () => {
        const before = await opened('h', A);
        await before.publish(batchOf(1, 2));
        const after = busOf('h', A);
        expect(await after.open()).toEqual({ journalId: A, sequence: 2, ours: 2 });
        await expect(before.publish(batchOf(3, 3))).rejects.toMatchObject({ reason: 'BUS_GAP' });
        expect(await after.publish(batchOf(3, 4))).toBe(4);
        expect(await harness.entries('h')).toEqual(texts(A, 1, 4));
      });

      it('is nobody’s while two journals use it, and each is told', async () => {
        const one = await opened('h', A);
        await one.publish(batchOf(1, 2));
        const two = busOf('h', B);
        await expect(two.open()).rejects.toMatchObject({ reason: 'BUS_TWIN' });
        await expect(one.publish(batchOf(3, 3))).rejects.toMatchObject({ isFault: true });
        await expect(one.open()).rejects.toMatchObject({ reason: 'BUS_TWIN' });
        await expect(two.open()).rejects.toMatchObject({ reason: 'BUS_TWIN' });
        expect(await harness.entries('h')).toEqual(texts(A, 1, 2));
      });

      it('is nobody’s while two processes use copies of one journal', async () => {
        const [one, two] = [busOf('h', A), busOf('h', A)];
        const reasons = new Set<string>();
        const use = async (bus: Bus): Promise<void> => {
          try {
            await bus.open();
            await bus.publish(batchOf(1, 1));
          } catch (error) {
            reasons.add((error as { reason?: string }).reason ?? String(error));
          }
        };
        for (let turn = 0; turn < 6; turn += 1) {
          await use(one);
          await use(two);
          await one.beat().catch(() => undefined);
        }
        await expect(one.open()).rejects.toMatchObject({ reason: 'BUS_TWIN' });
        await expect(two.open()).rejects.toMatchObject({ reason: 'BUS_TWIN' });
        expect(reasons).toContain('BUS_TWIN');
      });

      it('is taken from a process by a copy of its journal once, not in turns', async () => {
        const one = await opened('h', A);
        await one.publish(batchOf(1, 1));
        const two = await opened('h', A);
        await two.publish(batchOf(2, 2));
        await expect(one.publish(batchOf(2, 2))).rejects.toMatchObject({ reason: 'BUS_GAP' });
        await expect(one.open()).rejects.toMatchObject({ reason: 'BUS_TWIN' });
        await expect(two.publish(batchOf(3, 3))).rejects.toMatchObject({ reason: 'BUS_GAP' });
        await expect(two.open()).rejects.toMatchObject({ reason: 'BUS_TWIN' });
        expect(await harness.entries('h')).toEqual(texts(A, 1, 2));
      });

      it('is taken again when whoever else used it has left', async () => {
        const one = await opened('h', A);
        const two = busOf('h', B);
        await expect(two.open()).rejects.toMatchObject({ reason: 'BUS_TWIN' });
        await expect(one.open()).rejects.toMatchObject({ reason: 'BUS_TWIN' });
        const third = await opened('h2', C);
        await third.leave();
        // Whoever is refused has to be able to say that it leaves.
        await two.leave();
        expect(await one.open()).toBeNull();
        expect(await one.publish(batchOf(1, 1))).toBe(1);
        await one.leave();
        expect(await two.open()).toMatchObject({ journalId: A, sequence: 1 });
      });
    });

    describe('losing and coming back', () => {
      it('refuses what continues something that is not there any more, and tells so', async () => {
        const bus = await opened('h', A);
        await bus.publish(batchOf(1, 3));
        await harness.forget();
        await expect(bus.publish(batchOf(4, 5))).rejects.toMatchObject({ reason: 'BUS_GAP' });
        expect(await bus.open()).toBeNull();
        expect(await bus.publish(batchOf(1, 5))).toBe(5);
        expect(await harness.entries('h')).toEqual(texts(A, 1, 5));
      });

      it('sees it at the next beat, too', async () => {
        const bus = await opened('h', A);
        await bus.publish(batchOf(1, 3));
        await harness.forget();
        expect((await bus.beat()).published).toBeNull();
      });

      it('is of no use before it is opened and after it is closed, until it is opened again', async () => {
        const bus = busOf('h', A);
        await expect(bus.publish(batchOf(1, 1))).rejects.toMatchObject({
          reason: 'BUS_UNAVAILABLE',
        });
        await bus.open();
        await bus.publish(batchOf(1, 1));
        bus.close();
        bus.close();
        await expect(bus.publish(batchOf(2, 2))).rejects.toMatchObject({
          reason: 'BUS_UNAVAILABLE',
        });
        await expect(bus.beat()).rejects.toMatchObject({ reason: 'BUS_UNAVAILABLE' });
        expect(await bus.open()).toMatchObject({ ours: 1 });
        expect(await bus.publish(batchOf(2, 2))).toBe(2);
      });
    });
  });
}
