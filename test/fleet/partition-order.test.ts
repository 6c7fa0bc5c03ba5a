import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { markFromText, markToText } from '../../src/fleet/mark-text.js';
import { type Arrival, PartitionOrder, type Slot } from '../../src/fleet/partition-order.js';

const JOURNAL = 'a';

const arrival = (
  host: string,
  sequence: number,
  entryId: string,
  rest: Partial<Arrival<null>> = {},
): Arrival<null> => ({
  entryId,
  host,
  journalId: JOURNAL,
  sequence,
  marker: null,
  payload: null,
  wanted: true,
  attempt: 1,
  careful: false,
  ...rest,
});

const takeEntry = (order: PartitionOrder<null>, nowMs = 0): Slot<null> => {
  const handing = order.take(nowMs);
  if (handing?.kind !== 'entry') throw new Error(`took ${handing?.kind ?? 'nothing'}`);
  return handing.slot;
};

describe('the order of a partition', () => {
  it('makes one mark of what is settled from the front, and keeps the rest ahead of it', () => {
    const order = new PartitionOrder<null>();
    for (const sequence of [1, 2, 3, 4]) order.admit(arrival('h', sequence, `${sequence}-0`));
    const [first, second, third] = [takeEntry(order), takeEntry(order), takeEntry(order)];
    order.settle(third);
    expect(order.takeSettlement()).toEqual({
      entryIds: ['3-0'],
      marks: [{ host: 'h', journalId: JOURNAL, mark: { through: 0, ahead: [3] } }],
    });
    order.settle(first);
    expect(order.takeSettlement()?.marks).toEqual([
      { host: 'h', journalId: JOURNAL, mark: { through: 1, ahead: [3] } },
    ]);
    order.settle(second);
    expect(order.takeSettlement()).toEqual({
      entryIds: ['2-0'],
      marks: [{ host: 'h', journalId: JOURNAL, mark: { through: 3, ahead: [] } }],
    });
    expect(order.takeSettlement()).toBeNull();
  });

  it('hands out what was given back before anything of that host, and lets other hosts pass', () => {
    const order = new PartitionOrder<null>();
    order.admit(arrival('h', 1, '1-0'));
    order.admit(arrival('h', 2, '2-0'));
    order.admit(arrival('other', 1, '3-0'));
    order.giveBack(takeEntry(order), 1000, 2);
    expect(takeEntry(order, 999).arrival.host).toBe('other');
    expect(order.take(999)).toBeNull();
    expect(order.wakeAtMs()).toBe(1000);
    expect(takeEntry(order, 1000)).toMatchObject({ attempt: 2, arrival: { entryId: '1-0' } });
  });

  it('knows an entry that was published again while its record is being handled', () => {
    const order = new PartitionOrder<null>();
    order.admit(arrival('h', 1, '1-0'));
    const slot = takeEntry(order);
    expect(order.admit(arrival('h', 1, '9-0'))).toBe('held');
    expect(order.take(0)).toBeNull();
    order.settle(slot);
    expect(order.takeSettlement()?.entryIds).toEqual(['1-0', '9-0']);
  });

  it('tells of a hole right before what follows it, and again when that comes again', () => {
    for (const wanted of [true, false]) {
      const order = new PartitionOrder<null>();
      order.merge('h', JOURNAL, { through: 3, ahead: [] });
      order.admit(arrival('h', 6, '6-0', { wanted }));
      const gap = { first: 4, last: 5, cause: 'hole' };
      expect(order.take(0)).toMatchObject({ kind: 'gap', gap });
      expect(order.takeSettlement()).toBeNull();
      if (wanted) order.settle(takeEntry(order));
      else expect(order.take(0)).toBeNull();
      expect(order.takeSettlement()?.marks[0]?.mark.through).toBe(6);
    }
  });

  it('tells of what a marker names, and apart from it of what it does not', () => {
    const order = new PartitionOrder<null>();
    order.merge('h', JOURNAL, { through: 3, ahead: [7] });
    order.admit(arrival('h', 9, '9-0', { marker: { first: 6, reason: 'full' } }));
    const gaps = [order.take(0), order.take(0), order.take(0)];
    expect(gaps).toMatchObject([
      { kind: 'gap', gap: { cause: 'hole', first: 4, last: 5 } },
      { kind: 'gap', gap: { cause: 'loss', first: 6, last: 6, reason: 'full' } },
      { kind: 'gap', gap: { cause: 'loss', first: 8, last: 9, reason: 'full' } },
    ]);
    expect(takeEntry(order).arrival.entryId).toBe('9-0');
    const anew = new PartitionOrder<null>();
    anew.admit(arrival('h', 9, '9-0', { marker: { first: 6, reason: 'full' } }));
    expect(anew.take(0)).toMatchObject({ gap: { cause: 'loss', first: 6, last: 9 } });
  });

  it('tells of another journal', () => {
    const order = new PartitionOrder<null>();
    order.admit(arrival('h', 7, '7-0'));
    order.admit(arrival('h', 3, '8-0', { journalId: 'b' }));
    takeEntry(order);
    expect(order.take(0)).toMatchObject({
      kind: 'gap',
      gap: { cause: 'journalChanged', previousJournalId: JOURNAL },
    });
    expect(order.take(0)).toMatchObject({ kind: 'gap', gap: { cause: 'hole', first: 1, last: 2 } });
    expect(takeEntry(order).arrival.entryId).toBe('8-0');
  });

  it('hands out one at a time what was handed out often', () => {
    const order = new PartitionOrder<null>();
    for (const host of ['h', 'i']) order.admit(arrival(host, 1, `${host}-0`, { careful: true }));
    const first = takeEntry(order);
    expect(order.take(0)).toBeNull();
    order.settle(first);
    expect(takeEntry(order).arrival.host).toBe('i');
  });
});

/**
 * One consumer after the other over one partition: each may vanish at any time with what it holds; Redis
 * may forget its newest entries and acks, whereupon hosts publish them again; and it may be emptied.
 */
class World {
  readonly hosts = ['h', 'i'];
  /** What stands in Redis. */
  stream: { id: number; host: string; sequence: number }[] = [];
  pending = new Set<number>();
  delivered = 0;
  marks = new Map<string, string>();
  /** Not in Redis. */
  newest = new Map<string, number>();
  order = new PartitionOrder<null>();
  out: Slot<null>[] = [];
  nextId = 1;
  readonly holes = new Set<string>();
  readonly acked = new Set<string>();
  /** Acked since Redis was last copied: what a failover may forget. */
  readonly handedSinceAck: string[] = [];
  lastHanded = new Map<string, number>();

  publish(host: string, isHole: boolean): void {
    const sequence = (this.newest.get(host) ?? 0) + 1;
    this.newest.set(host, sequence);
    // The first record of all is what the group begins with: a hole before it could not be known.
    if (isHole && sequence > 1) this.holes.add(`${host}/${sequence}`);
    else this.add(host, sequence);
  }

  add(host: string, sequence: number): void {
    this.stream.push({ id: this.nextId, host, sequence });
    this.nextId += 1;
  }

  read(count: number): void {
    const fresh = this.stream.filter(({ id }) => id > this.delivered).slice(0, count);
    for (const { id, host, sequence } of fresh) {
      this.delivered = id;
      this.pending.add(id);
      this.order.admit(arrival(host, sequence, String(id)));
    }
  }

  hand(): void {
    const handing = this.order.take(0);
    if (handing === null) return;
    const { host, sequence } = handing.slot.arrival;
    if (handing.kind === 'gap') {
      if (handing.gap.cause !== 'hole') throw new Error('no journal changed');
      for (let missing = handing.gap.first; missing <= handing.gap.last; missing += 1) {
        if (!this.holes.has(`${host}/${missing}`)) throw new Error(`${host}/${missing} is no hole`);
      }
      return;
    }
    const name = `${host}/${sequence}`;
    if (this.acked.has(name)) throw new Error(`${name} was acked and is handed out again`);
    const last = this.lastHanded.get(host) ?? 0;
    if (handing.slot.attempt === 1 && sequence <= last)
      throw new Error(`${name} is behind ${last}`);
    this.lastHanded.set(host, Math.max(last, sequence));
    this.out.push(handing.slot);
  }

  ack(choice: number): void {
    const slot = this.out.splice(choice % Math.max(1, this.out.length), 1)[0];
    if (slot !== undefined) this.order.settle(slot);
  }

  retry(choice: number): void {
    const slot = this.out.splice(choice % Math.max(1, this.out.length), 1)[0];
    if (slot !== undefined) this.order.giveBack(slot, 0, slot.attempt + 1);
  }

  /** What `ack()` waits for. */
  flush(): void {
    const settlement = this.order.takeSettlement();
    if (settlement === null) return;
    for (const { host, journalId, mark } of settlement.marks) {
      const [field, value] = markToText(host, journalId, mark);
      this.marks.set(field, value);
    }
    for (const id of settlement.entryIds) this.pending.delete(Number(id));
    this.noteAcked();
  }

  noteAcked(): void {
    for (const [field, value] of this.marks) {
      const found = markFromText(field, value);
      if (found === null) throw new Error(`${field} ${value} is no mark`);
      const { host, mark } = found;
      for (let sequence = 1; sequence <= mark.through; sequence += 1) {
        this.acked.add(`${host}/${sequence}`);
      }
      for (const sequence of mark.ahead) this.acked.add(`${host}/${sequence}`);
    }
  }

  /** Another consumer takes over: all it knows is what Redis has. */
  vanish(): void {
    this.order = new PartitionOrder();
    this.out = [];
    this.lastHanded = new Map();
    for (const [field, value] of this.marks) {
      const found = markFromText(field, value);
      if (found !== null) this.order.merge(found.host, found.journalId, found.mark);
    }
    this.drain();
  }

  /** Redis loses its newest entries, and acks of others; hosts publish again; the consumer lives on. */
  failover(lost: number): void {
    const copy = new Map(this.marks);
    const kept = this.stream.slice(0, Math.max(0, this.stream.length - lost));
    const gone = this.stream.slice(kept.length);
    this.stream = kept;
    this.delivered = Math.min(this.delivered, kept.at(-1)?.id ?? 0);
    this.pending = new Set([...this.pending].filter((id) => id <= this.delivered));
    this.marks = lost % 2 === 0 ? copy : new Map();
    for (const { host, sequence } of gone) this.add(host, sequence);
    // As after each connect: what is known is written again, and pending entries are looked at.
    this.flush();
    for (const { host, journalId, mark } of this.order.allMarks()) {
      const [field, value] = markToText(host, journalId, mark);
      this.marks.set(field, value);
    }
    this.noteAcked();
    this.drain();
  }

  drain(): void {
    for (const { id, host, sequence } of this.stream) {
      if (!this.pending.has(id) || this.order.holdsEntry(String(id))) continue;
      this.order.admit(arrival(host, sequence, String(id), { attempt: 2 }));
    }
  }

  settleAll(): void {
    for (let turn = 0; turn < 1000; turn += 1) {
      this.read(100);
      this.hand();
      for (const slot of this.out.splice(0)) this.order.settle(slot);
      this.flush();
    }
  }
}

describe('a group over one partition, whatever happens', () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('publish' as const), n: fc.nat(9) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), n: fc.nat(5) }) },
    { weight: 8, arbitrary: fc.record({ do: fc.constant('hand' as const), n: fc.constant(0) }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('ack' as const), n: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('retry' as const), n: fc.nat(20) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('flush' as const), n: fc.constant(0) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('vanish' as const), n: fc.constant(0) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('failover' as const), n: fc.nat(8) }) },
  );

  it('hands out each record, in order, and none again that is acked', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150, size: 'max' }), (steps) => {
        const world = new World();
        for (const { do: act, n } of steps) {
          if (act === 'publish') world.publish(world.hosts[n % 2] ?? 'h', n > 7);
          else if (act === 'read') world.read(n);
          else if (act === 'hand') world.hand();
          else if (act === 'ack') world.ack(n);
          else if (act === 'retry') world.retry(n);
          else if (act === 'flush') world.flush();
          else if (act === 'vanish') world.vanish();
          else world.failover(n);
        }
        world.settleAll();
        for (const { host, sequence } of world.stream) {
          expect(world.acked, `${host}/${sequence}`).toContain(`${host}/${sequence}`);
        }
        expect(world.pending.size).toBe(0);
        expect(world.order.held).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
