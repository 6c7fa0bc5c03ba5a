import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { partitionOf, publishedKey, recordsKey } from '../../src/bus/redis/keys.js';
import { groupKeys } from '../../src/fleet/keys.js';
import { openFleet } from '../../src/fleet/open-fleet.js';
import { describePart } from '../support/parts.js';
import { waitFor } from '../support/wait-for.js';
import { FLEET, JOURNAL, PARTITIONS } from './publisher.js';
import { nextRecord, range, run, sequencesOf, useFleetRig } from './rig.js';

describePart('redis-server', 'a consumer whose Redis fails', () => {
  const rig = useFleetRig();

  it('is not handed again what it acked when a Redis that was emptied gets everything again', async () => {
    const running = run(rig.consume());
    await rig.publisher.publish('alpha', 1, 10);
    await rig.publisher.publish('beta', 1, 10);
    await running.holds('all', () => running.acked.length === 20);
    await rig.redis.client.flushall();
    await rig.publisher.open();
    await rig.publisher.publish('alpha', 1, 12);
    await rig.publisher.publish('beta', 1, 11);
    await running.holds('what is new', () => running.acked.length === 23);
    expect(sequencesOf(running.items, 'alpha')).toEqual(range(1, 12));
    expect(sequencesOf(running.items, 'beta')).toEqual(range(1, 11));
    expect(running.items.every(({ kind }) => kind === 'record')).toBe(true);
  });

  it('has the ack of a record taken that was published again while it was handled', async () => {
    const items = rig.consume();
    await rig.publisher.publish('alpha', 1, 1);
    const held = await nextRecord(items);
    await rig.redis.client.flushall();
    await rig.publisher.open();
    await rig.publisher.publish('alpha', 1, 2);
    const next = await nextRecord(items);
    expect(next.sequence).toBe(2);
    await held.ack();
    await next.ack();
    const key = recordsKey(FLEET, partitionOf('alpha', PARTITIONS));
    const [pending] = (await rig.redis.client.xpending(key, 'g')) as [number];
    expect(pending).toBe(0);
  });

  it('another consumer knows too, from Redis, when the newest entries were lost and came again', async () => {
    const first = run(rig.consume());
    const ids = await rig.publisher.publish('alpha', 1, 10);
    await first.holds('all', () => first.acked.length === 10);
    await rig.publisher.publish('alpha', 11, 11);
    await first.holds('one more', () => first.acked.length === 11);
    // As after a failover to a replica that lacked the newest two: the host sees it and sends them again.
    const key = recordsKey(FLEET, partitionOf('alpha', PARTITIONS));
    await rig.redis.client.xdel(key, ids.at(-1) ?? '');
    await rig.publisher.publish('alpha', 10, 12);
    await first.holds('only the new one', () => first.acked.length === 12);
    const second = run(rig.consume({ consumer: 'second' }));
    for (let host = 1; host <= 12; host += 1) await rig.publisher.publish(`h${host}`, 1, 1);
    await waitFor('the second works', () => second.items.length > 0 || first.items.length === 24);
    expect(sequencesOf([...first.items, ...second.items], 'alpha')).toEqual(range(1, 12));
  });

  it('goes on when Redis was restarted while it waited, and while it had acks to send', async () => {
    const troubles: (string | null)[] = [];
    const onTrouble = (trouble: Error | null) => troubles.push(trouble?.message ?? null);
    const items = rig.consume({ onTrouble });
    await rig.publisher.publish('alpha', 1, 2);
    const [one, two] = [await nextRecord(items), await nextRecord(items)];
    await one.ack();
    await rig.redis.stop('SIGKILL');
    await waitFor('it has noticed', () => troubles.length === 1);
    const acked = two.ack();
    const next = items.next();
    await rig.redis.start();
    await acked;
    await rig.publisher.publish('alpha', 3, 3);
    expect((await next).value).toMatchObject({ host: 'alpha', sequence: 3 });
    expect(troubles).toEqual([expect.stringMatching(/Redis can't be used/), null]);
    expect(
      await rig.redis.client.hgetall(publishedKey(FLEET, partitionOf('alpha', PARTITIONS))),
    ).toEqual({ alpha: expect.stringMatching(/:3$/) });
  });

  it('goes on behind what it acked when somebody destroys its group', async () => {
    await rig.publisher.publish('alpha', 1, 10);
    const items = rig.consume({ group: 'g' });
    for (let sequence = 1; sequence <= 5; sequence += 1) await (await nextRecord(items)).ack();
    const held = await nextRecord(items);
    const key = recordsKey(FLEET, partitionOf('alpha', PARTITIONS));
    await rig.redis.client.xgroup('DESTROY', key, 'g');
    await held.ack();
    await rig.publisher.publish('alpha', 11, 12);
    for (const sequence of [7, 8, 9, 10, 11, 12]) {
      const delivery = await nextRecord(items);
      expect(delivery.sequence).toBe(sequence);
      await delivery.ack();
    }
    await items.return?.();
  });

  it('says that an ack is not sure when Redis is away for too long, and sends it still', async () => {
    const items = rig.consume({ ackTimeoutMs: 200 });
    await rig.publisher.publish('alpha', 1, 2);
    const delivery = await nextRecord(items);
    await rig.redis.stop('SIGTERM');
    await expect(delivery.ack()).rejects.toMatchObject({ reason: 'FLEET_ACK_UNSURE' });
    await rig.redis.start();
    const partition = partitionOf('alpha', PARTITIONS);
    const { marks } = groupKeys(FLEET, PARTITIONS, 'g').partition(partition);
    await waitFor('it has been sent', async () => {
      return (await rig.redis.client.hget(marks, `alpha/${JOURNAL}`)) === '1';
    });
    await items.return?.();
    const rest = await nextRecord(rig.consume({ consumer: 'other' }));
    expect(rest).toMatchObject({ host: 'alpha', sequence: 2 });
  });

  it('waits with the ack for replicas, as many as it was told', async () => {
    const items = rig.consume({ minReplicas: 1, ackTimeoutMs: 1500 });
    await rig.publisher.publish('alpha', 1, 1);
    const delivery = await nextRecord(items);
    await expect(delivery.ack()).rejects.toMatchObject({ reason: 'FLEET_ACK_UNSURE' });
  });

  it('throws what will not pass by itself', async () => {
    await rig.redis.client.set(recordsKey(FLEET, 0), 'something else');
    await expect(rig.consume().next()).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'BUS_MISUSED',
    });
  });

  it('is told why it is refused', async () => {
    await rig.redis.client.call('ACL', 'SETUSER', 'default', 'resetkeys', '~other:*');
    await expect(rig.consume().next()).rejects.toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'BUS_DENIED',
    });
  });

  it('throws at once what a wrong password is, and takes up a changed one', async () => {
    const { client, socket } = rig.redis;
    await rig.publisher.publish('alpha', 1, 1);
    await client.config('SET', 'requirepass', 'first');
    const file = join(mkdtempSync(join(tmpdir(), 'vmwarden-password-')), 'password');
    try {
      writeFileSync(file, 'wrong\n');
      const fleet = openFleet({ url: socket, fleet: FLEET, passwordFile: file });
      const wrong = fleet.consume({ group: 'g', consumer: 'c' });
      await expect(wrong.next()).rejects.toMatchObject({ reason: 'BUS_DENIED' });
      writeFileSync(file, 'first\n');
      const items = fleet.consume({ group: 'g', consumer: 'c', takeoverAfterMs: 1000 });
      await (await nextRecord(items)).ack();
      await client.config('SET', 'requirepass', 'second');
      const next = items.next();
      await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      writeFileSync(file, 'second\n');
      await rig.publisher.publish('alpha', 2, 2);
      expect((await next).value).toMatchObject({ host: 'alpha', sequence: 2 });
      await fleet.close();
    } finally {
      rmSync(dirname(file), { recursive: true });
    }
  });
});
