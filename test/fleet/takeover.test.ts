import { expect, it } from 'vitest';
import type { FleetItem } from '../../src/fleet/fleet.js';
import { describePart } from '../support/parts.js';
import { waitFor } from '../support/wait-for.js';
import { type ConsumerProcess, startConsumer } from './consumer-process.js';
import { nextRecord, range, run, sequencesOf, useFleetRig } from './rig.js';

const HOSTS = range(1, 12).map((number) => `host-${number}`);

describePart('redis-server', 'consumers of one group', () => {
  const rig = useFleetRig();

  it('share the hosts, and each host stays in order while they come and go', async () => {
    const lines: { host: string; sequence: number; by: string }[] = [];
    const note = (by: string) => async (item: FleetItem) => {
      if (item.kind === 'record') lines.push({ host: item.host, sequence: item.sequence, by });
    };
    const abort = new AbortController();
    const first = run(rig.consume({ consumer: 'one' }), note('one'));
    for (const host of HOSTS) await rig.publisher.publish(host, 1, 20);
    await first.holds('the first has all', (items) => items.length === 12 * 20);
    const second = run(rig.consume({ consumer: 'two', signal: abort.signal }), note('two'));
    const third = run(rig.consume({ consumer: 'three' }), note('three'));
    let next = 21;
    await waitFor('all three work', async () => {
      for (const host of HOSTS) await rig.publisher.publish(host, next, next);
      next += 1;
      return second.items.length > 10 && third.items.length > 10;
    });
    abort.abort();
    await second.ended;
    const before = next;
    for (const host of HOSTS) await rig.publisher.publish(host, next, next + 20);
    next += 21;
    await waitFor('all is acked', () => {
      return first.acked.length + second.acked.length + third.acked.length === 12 * (next - 1);
    });
    for (const host of HOSTS) {
      const handed = lines.filter((line) => line.host === host).map(({ sequence }) => sequence);
      expect(handed, host).toEqual(range(1, next - 1));
    }
    expect(lines.some(({ by, sequence }) => by === 'three' && sequence >= before)).toBe(true);
  });

  it('take over from one that was killed, from the record that it did not ack', async () => {
    const dying = startConsumer(rig.redis.socket, 'g', 'dying', '5');
    try {
      await rig.publisher.publish('alpha', 1, 20);
      await dying.said('acked alpha 20 1');
      const heir = run(rig.consume({ consumer: 'heir' }));
      await dying.kill();
      await heir.holds('the one that is left', (items) => items.length >= 1);
      await rig.publisher.publish('alpha', 21, 21);
      await heir.holds('and what comes', (items) => items.length >= 2);
      expect(sequencesOf(heir.items, 'alpha')).toEqual([5, 21]);
      expect(heir.items[0]).toMatchObject({ attempt: 2 });
    } finally {
      await dying.kill();
    }
  });

  it('park the one record that kills its consumers, and none of its neighbours', async () => {
    await rig.publisher.publish('alpha', 1, 8);
    const killed: ConsumerProcess[] = [];
    try {
      // Each is killed while it has record 3; what came before it was acked at once, what came after is held by 3's place.
      for (let attempt = 1; attempt <= 5; attempt += 1) {
        const victim = startConsumer(rig.redis.socket, 'g', `victim-${attempt}`, '3');
        killed.push(victim);
        await victim.said(`handed alpha 3 ${attempt}`);
        await victim.kill();
      }
      const last = run(rig.consume({ consumer: 'last' }));
      await rig.publisher.publish('alpha', 9, 9);
      await last.holds('what is left', (items) => sequencesOf(items, 'alpha').includes(9));
      await last.holds('the poison', (items) => items.some(({ kind }) => kind === 'parked'));
      const parked = last.items.filter(({ kind }) => kind === 'parked');
      expect(parked).toMatchObject([
        {
          identity: { host: 'alpha', sequence: 3 },
          reason: 'handed out 5 times and never acked',
        },
      ]);
      // Whether an ack that was on its way arrived, a victim can't tell; that each was handed out, it can.
      const handed = killed.flatMap(({ lines }) =>
        lines.flatMap((line) => (line.startsWith('handed') ? [Number(line.split(' ')[2])] : [])),
      );
      const all = new Set([...handed, ...sequencesOf(last.items, 'alpha')]);
      expect([...all].sort((one, other) => one - other)).toEqual(range(1, 9));
      expect(sequencesOf(last.items, 'alpha')).not.toContain(3);
    } finally {
      await Promise.all(killed.map((victim) => victim.kill()));
    }
  });

  it('leave alone what a slow one still handles, for longer than a dead one would keep it', async () => {
    await rig.publisher.publish('alpha', 1, 2);
    const slow = rig.consume({ consumer: 'slow' });
    const held = await nextRecord(slow);
    const other = run(rig.consume({ consumer: 'other' }));
    await rig.publisher.publish('beta', 1, 1);
    const since = performance.now();
    // Hosts of their own come to the other in the meantime; three leases pass.
    let sequence = 2;
    await waitFor('three leases', async () => {
      for (const host of HOSTS) await rig.publisher.publish(host, sequence, sequence);
      sequence += 1;
      return performance.now() - since > 3000 && other.items.length > 0;
    });
    await held.ack();
    expect(sequencesOf(other.items, 'alpha')).toEqual([]);
    expect((await nextRecord(slow)).sequence).toBeGreaterThan(0);
  });

  it('get hosts at once from one that leaves in good order', async () => {
    await rig.publisher.publish('alpha', 1, 3);
    const leaving = rig.consume({ consumer: 'leaving', takeoverAfterMs: 60_000 });
    const delivery = await nextRecord(leaving);
    await delivery.ack();
    await leaving.return?.();
    const heir = run(rig.consume({ consumer: 'heir', takeoverAfterMs: 60_000 }));
    await heir.holds('the rest', (items) => items.length === 2);
    expect(sequencesOf(heir.items, 'alpha')).toEqual([2, 3]);
  });

  it('of two groups each get everything', async () => {
    const one = run(rig.consume({ group: 'one' }));
    const two = run(rig.consume({ group: 'two' }));
    for (const host of HOSTS) await rig.publisher.publish(host, 1, 10);
    await one.holds('all', (items) => items.length === 120);
    await two.holds('all', (items) => items.length === 120);
  });
});
