import { expect, it } from 'vitest';
import { partitionOf, publishedKey, recordsKey } from '../../src/bus/redis/keys.js';
import type { FollowedItem } from '../../src/fleet/fleet.js';
import { describePart } from '../support/parts.js';
import { waitFor } from '../support/wait-for.js';
import { FLEET, JOURNAL, PARTITIONS } from './publisher.js';
import { range, take, useFleetRig } from './rig.js';

describePart('redis-server', 'a reader of the fleet', () => {
  const rig = useFleetRig();

  it('follows all hosts from the beginning to what is the newest, without a trace in Redis', async () => {
    await rig.publisher.publish('alpha', 1, 250);
    await rig.publisher.publish('beta', 1, 3);
    const before = await rig.redis.client.keys('*');
    const seen = await all(rig.fleet().follow({ from: 'beginning', untilNewest: true }));
    expect(sequences(seen, 'alpha')).toEqual(range(1, 250));
    expect(sequences(seen, 'beta')).toEqual(range(1, 3));
    expect((await rig.redis.client.keys('*')).sort()).toEqual(before.sort());
  });

  it('ends at once when there is nothing', async () => {
    expect(await all(rig.fleet().follow({ untilNewest: true }))).toEqual([]);
    await rig.redis.client.flushall();
    expect(await all(rig.fleet().follow({ untilNewest: true }))).toEqual([]);
  });

  it('follows from now on, filtered, through a restart of Redis, and says what is missing', async () => {
    await rig.publisher.publish('alpha', 1, 3);
    const abort = new AbortController();
    const troubles: boolean[] = [];
    const seen: FollowedItem[] = [];
    const ended = (async () => {
      const filter = { hosts: ['alpha'] };
      const onTrouble = (trouble: Error | null) => troubles.push(trouble !== null);
      for await (const item of rig.fleet().follow({ filter, signal: abort.signal, onTrouble })) {
        seen.push(item);
      }
    })();
    await waitFor('it waits', async () =>
      (await rig.redis.client.info('clients')).includes('blocked_clients:1'),
    );
    await rig.publisher.publish('alpha', 4, 4);
    await rig.publisher.publish('beta', 1, 1);
    await waitFor('the first', () => seen.length === 1);
    await rig.redis.stop('SIGKILL');
    await waitFor('it is told', () => troubles.length === 1);
    await rig.redis.start();
    await rig.publisher.publish('alpha', 6, 6);
    await rig.publisher.add('alpha', ['not', 'ours']);
    await waitFor('the rest', () => seen.length === 4);
    abort.abort();
    await ended;
    expect(seen).toMatchObject([
      { kind: 'record', host: 'alpha', sequence: 4 },
      { kind: 'gap', host: 'alpha', missing: { cause: 'hole', first: 5, last: 5 } },
      { kind: 'record', host: 'alpha', sequence: 6 },
      { kind: 'unreadable', identity: null },
    ]);
    expect(troubles).toEqual([true, false]);
  });

  it('lists the hosts, who is alive, and how far each group is behind', async () => {
    await rig.publisher.publish('alpha', 1, 10);
    await rig.publisher.publish('beta', 1, 2);
    await rig.publisher.publish('beta', 5, 5);
    const [seconds] = await rig.redis.client.time();
    const nowMs = Number(seconds) * 1000;
    await rig.publisher.beat('alpha', nowMs, 'alive');
    await rig.publisher.beat('beta', nowMs - 60_000, 'alive');
    await rig.publisher.beat('gamma', nowMs - 60_000, 'closed');
    const filter = { hosts: ['alpha'] };
    await take(rig.consume({ group: 'one', filter, from: 'beginning' }), 4);
    const hosts = await rig.fleet().hosts();
    expect(hosts).toMatchObject([
      {
        host: 'alpha',
        state: 'alive',
        heartbeatAt: new Date(nowMs),
        hasRival: false,
        published: { journalId: JOURNAL, sequence: 10 },
        newestAt: expect.any(Date),
        groups: [{ group: 'one', acked: 4, lag: 6 }],
        gaps: [],
      },
      {
        host: 'beta',
        state: 'silent',
        gaps: [{ journalId: JOURNAL, first: 3, last: 4, reason: null }],
      },
      { host: 'gamma', state: 'closed', published: null, groups: [] },
    ]);
  });

  it('audits every host: holes, losses, repeats, what can not be read, and a missing end', async () => {
    await rig.publisher.publish('whole', 1, 600);
    await rig.publisher.publish('trimmed', 40, 50);
    await rig.publisher.publish('holed', 1, 2);
    await rig.publisher.publish('holed', 5, 5);
    await rig.publisher.publish('lossy', 1, 2);
    await rig.publisher.lose('lossy', 3, 6, 'the disk was full');
    await rig.publisher.publish('lossy', 7, 7);
    await rig.publisher.publish('renewed', 1, 2);
    await rig.publisher.publish('renewed', 1, 1, { journalId: 'ffff' });
    await rig.publisher.publish('again', 1, 3);
    await rig.publisher.publish('again', 3, 4);
    await rig.publisher.add('odd', ['not', 'ours']);
    await rig.publisher.publish('cut', 1, 3);
    await rig.publisher.publish('beheaded', 1, 2);
    await rig.redis.client.hset(
      publishedKey(FLEET, partitionOf('beheaded', PARTITIONS)),
      'beheaded',
      'ffff:3',
    );
    await rig.redis.client.hset(
      publishedKey(FLEET, partitionOf('bare', PARTITIONS)),
      'bare',
      `${JOURNAL}:5`,
    );
    const cut = partitionOf('cut', PARTITIONS);
    await rig.redis.client.hset(publishedKey(FLEET, cut), 'cut', `${JOURNAL}:5`);
    const audits = await rig.fleet().audit();
    const of = (host: string) => audits.find((audit) => audit.host === host);
    const clean = { gaps: [], repeats: 0, unreadable: 0, missingTail: null };
    const journalId = JOURNAL;
    expect(of('whole')).toEqual({
      host: 'whole',
      journals: [{ journalId, first: 1, last: 600, records: 600 }],
      ...clean,
    });
    expect(of('trimmed')).toMatchObject({ journals: [{ first: 40, last: 50 }], ...clean });
    expect(of('holed')?.gaps).toEqual([{ journalId, first: 3, last: 4, reason: null }]);
    expect(of('lossy')).toMatchObject({
      journals: [{ first: 1, last: 7, records: 3 }],
      gaps: [{ first: 3, last: 6, reason: 'the disk was full' }],
    });
    expect(of('renewed')).toMatchObject({
      journals: [
        { journalId, records: 2 },
        { journalId: 'ffff', records: 1 },
      ],
      ...clean,
    });
    expect(of('again')).toMatchObject({ repeats: 1, gaps: [] });
    expect(of('')).toMatchObject({ unreadable: 1 });
    expect(of('beheaded')?.missingTail).toEqual({ first: 1, last: 3 });
    expect(of('bare')).toEqual({ host: 'bare', journals: [], ...clean });
    expect(of('cut')?.missingTail).toEqual({ first: 4, last: 5 });
  });

  it('says why Redis can not be read', async () => {
    await rig.redis.client.set(recordsKey(FLEET, 1), 'something else');
    await expect(rig.fleet().audit()).rejects.toMatchObject({ reason: 'BUS_MISUSED' });
    await rig.redis.stop('SIGTERM');
    await expect(rig.fleet().hosts()).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'BUS_UNAVAILABLE',
    });
  });
});

const all = async (items: AsyncIterable<FollowedItem>): Promise<FollowedItem[]> => {
  const seen: FollowedItem[] = [];
  for await (const item of items) seen.push(item);
  return seen;
};

const sequences = (items: readonly FollowedItem[], host: string): number[] =>
  items.flatMap((item) => (item.kind === 'record' && item.host === host ? [item.sequence] : []));
