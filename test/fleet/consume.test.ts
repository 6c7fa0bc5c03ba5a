import { expect, it } from 'vitest';
import { metaKey, partitionOf, recordsKey } from '../../src/bus/redis/keys.js';
import type { Filter, FleetItem } from '../../src/fleet/fleet.js';
import { groupKeys } from '../../src/fleet/keys.js';
import type { Fault } from '../../src/lib/fault.js';
import { describePart } from '../support/parts.js';
import { waitFor } from '../support/wait-for.js';
import { encodeRecord, entryFields, FLEET, JOURNAL, PARTITIONS } from './publisher.js';
import { nextRecord, range, run, sequencesOf, take, useFleetRig } from './rig.js';

describePart('redis-server', 'a consumer of the fleet', () => {
  const rig = useFleetRig();

  it('is handed every record of every host, in order per host', async () => {
    await rig.publisher.publish('alpha', 1, 200);
    await rig.publisher.publish('beta', 1, 200);
    const seen = await take(rig.consume(), 400);
    expect(sequencesOf(seen, 'alpha')).toEqual(range(1, 200));
    expect(sequencesOf(seen, 'beta')).toEqual(range(1, 200));
    expect(seen[0]).toMatchObject({ kind: 'record', journalId: JOURNAL, attempt: 1 });
    expect(seen[0]).toMatchObject({ record: { body: { $case: 'operator' } } });
  });

  it('is handed what comes while it waits', async () => {
    const running = run(rig.consume());
    await rig.publisher.publish('alpha', 1, 1);
    await running.holds('the first', (items) => items.length === 1);
    await rig.publisher.publish('beta', 1, 2);
    await running.holds('all', (items) => items.length === 3);
  });

  it('waits for a fleet that has no host yet', async () => {
    await rig.redis.client.flushall();
    const first = rig.consume({ from: 'now' }).next();
    await waitFor('it has looked', async () =>
      (await rig.redis.client.info('commandstats')).includes('cmdstat_hget:'),
    );
    await rig.publisher.publish('alpha', 1, 1);
    await rig.publisher.open();
    expect((await first).value).toMatchObject({ host: 'alpha', sequence: 1 });
  });

  it('begins now, behind an identity or at the oldest, each group for itself', async () => {
    await rig.publisher.publish('alpha', 1, 5);
    await rig.publisher.publish('beta', 1, 5);
    const now = rig.consume({ group: 'now', from: 'now' });
    const later = now.next();
    const keys = groupKeys(FLEET, PARTITIONS, 'now').partition(partitionOf('alpha', PARTITIONS));
    await waitFor('the group knows where now is', async () => {
      return (await rig.redis.client.hget(keys.marks, `alpha/${JOURNAL}`)) === '5';
    });
    await rig.publisher.publish('alpha', 6, 6);
    expect((await later).value).toMatchObject({ host: 'alpha', sequence: 6 });

    const after = { host: 'alpha', journalId: JOURNAL, sequence: 4 };
    const behind = await take(rig.consume({ group: 'behind', from: { after: [after] } }), 7);
    expect(sequencesOf(behind, 'alpha')).toEqual([5, 6]);
    expect(sequencesOf(behind, 'beta')).toEqual(range(1, 5));

    const all = await take(rig.consume({ group: 'all' }), 11);
    expect(sequencesOf(all, 'alpha')).toEqual(range(1, 6));
  });

  it('goes on where its group was, whatever it is told to begin with', async () => {
    await rig.publisher.publish('alpha', 1, 5);
    await take(rig.consume(), 2);
    const rest = await take(rig.consume({ from: 'beginning' }), 3);
    expect(sequencesOf(rest, 'alpha')).toEqual([3, 4, 5]);
  });

  it('leaves out what the filter leaves out, and has it acked', async () => {
    await rig.publisher.publish('alpha', 1, 100, { vmId: 'other' });
    await rig.publisher.publish('alpha', 101, 101, { vmId: 'wanted' });
    await rig.publisher.publish('beta', 1, 10, { vmId: 'wanted' });
    const filter = { hosts: ['alpha'], vms: ['wanted'], kinds: ['operator'] as const };
    const items = rig.consume({ filter });
    const delivery = await nextRecord(items);
    expect(delivery).toMatchObject({ host: 'alpha', sequence: 101 });
    await delivery.ack();
    await waitFor('nothing is pending', async () => (await pendingOf('alpha', 'g')) === 0);
    await waitFor('nothing is pending', async () => (await pendingOf('beta', 'g')) === 0);
    const rest = rig.consume({ group: 'none', filter: { ...filter, kinds: ['event'] } });
    await rig.publisher.publish('alpha', 102, 102, { vmId: 'wanted' });
    const none = rest.next();
    await waitFor('all are acked', async () => (await ackedOf('alpha', 'none')) === '102');
    await rest.return?.();
    expect(await none).toEqual({ done: true, value: undefined });
  });

  it('reads no more than it may hold until something is acked', async () => {
    await rig.publisher.publish('alpha', 1, 100);
    const items = rig.consume({ readAhead: 10 });
    const first = await nextRecord(items);
    const others = [];
    for (let count = 1; count < 10; count += 1) others.push(await nextRecord(items));
    const next = items.next();
    let came = false;
    void next.then(() => {
      came = true;
    });
    // What would come without a bound comes within the time of a renewal, which is seen here twice.
    await renewals(2);
    expect(came).toBe(false);
    expect(await pendingOf('alpha', 'g')).toBe(10);
    await first.ack();
    for (const delivery of others) await delivery.ack();
    expect((await next).value).toMatchObject({ sequence: 11 });
  });

  it('takes acks in any order, and remembers which were ahead', async () => {
    await rig.publisher.publish('alpha', 1, 4);
    const items = rig.consume();
    const deliveries = [];
    for (let count = 0; count < 4; count += 1) deliveries.push(await nextRecord(items));
    await deliveries[2]?.ack();
    await deliveries[0]?.ack();
    await items.return?.();
    const rest = await take(rig.consume(), 2);
    expect(sequencesOf(rest, 'alpha')).toEqual([2, 4]);
    expect(rest[0]).toMatchObject({ attempt: 2 });
  });

  it('is told of no gap of hosts that it leaves out, and of those before other kinds', async () => {
    for (const host of ['alpha', 'beta']) {
      await rig.publisher.publish(host, 1, 1);
      await rig.publisher.publish(host, 5, 5);
    }
    const gapsOf = async (group: string, filter: Filter) => {
      const hosts: string[] = [];
      const stop = new AbortController();
      const items = rig.consume({ group, filter, signal: stop.signal });
      const seen = (async () => {
        for await (const item of items) {
          if (item.kind === 'gap') hosts.push(item.host);
          if (item.kind === 'record') await item.ack();
        }
      })();
      await waitFor('the group has all', async () => {
        const all = (await rig.fleet().hosts()).flatMap(({ groups }) => groups);
        const own = all.filter((status) => status.group === group);
        return own.length === 2 && own.every(({ lag }) => lag === 0);
      });
      stop.abort();
      await seen;
      return hosts.sort();
    };
    expect(await gapsOf('one', { hosts: ['alpha'] })).toEqual(['alpha']);
    expect(await gapsOf('both', { kinds: ['event'] })).toEqual(['alpha', 'beta']);
  });

  it('names what is missing, and a new journal', async () => {
    await rig.publisher.publish('alpha', 1, 2);
    await rig.publisher.publish('alpha', 6, 6);
    await rig.publisher.publish('alpha', 3, 3, { journalId: 'ffff' });
    const seen = await take(rig.consume(), 7);
    expect(seen.map(describe)).toEqual([
      'alpha 1',
      'alpha 2',
      'alpha: 3-5 are missing',
      'alpha 6',
      `alpha: after ${JOURNAL}`,
      'alpha: 1-2 are missing',
      'alpha 3',
    ]);
  });

  it('names what a host lost, and hands out its marker', async () => {
    await rig.publisher.publish('alpha', 1, 2);
    await rig.publisher.lose('alpha', 3, 7, 'the disk was full');
    await rig.publisher.publish('alpha', 8, 8);
    const seen = await take(rig.consume(), 5);
    expect(seen.map(describe)).toEqual([
      'alpha 1',
      'alpha 2',
      'alpha: 3-7 are lost: the disk was full',
      'alpha 7',
      'alpha 8',
    ]);
    expect(seen[3]).toMatchObject({ record: { body: { $case: 'loss' } } });
  });

  it('forgets what it acked of a journal that the host has left for good', async () => {
    const partition = partitionOf('alpha', PARTITIONS);
    const { marks, ended } = groupKeys(FLEET, PARTITIONS, 'g').partition(partition);
    await rig.publisher.publish('alpha', 1, 2);
    await rig.publisher.publish('alpha', 1, 2, { journalId: 'ffff' });
    // It ended, and may come back.
    await rig.redis.client.hset(ended, 'alpha', `${JOURNAL}:2`);
    await take(rig.consume(), 5);
    const acked = async (): Promise<string[]> => (await rig.redis.client.hkeys(marks)).sort();
    await rig.publisher.publish('alpha', 3, 3, { journalId: 'ffff' });
    await take(rig.consume({ consumer: 'next' }), 1);
    expect(await acked()).toEqual([`alpha/${JOURNAL}`, 'alpha/ffff'].sort());
    // Many later ones ended since.
    await rig.redis.client.hset(ended, 'alpha', 'eeee:7');
    await rig.publisher.publish('alpha', 4, 4, { journalId: 'ffff' });
    await take(rig.consume({ consumer: 'last' }), 1);
    expect(await acked()).toEqual(['alpha/ffff']);
  });

  it('names what was trimmed away before it came back', async () => {
    await rig.publisher.publish('alpha', 1, 10);
    await take(rig.consume(), 3);
    await rig.publisher.publish('alpha', 11, 12);
    await rig.redis.client.xtrim(recordsKey(FLEET, partitionOf('alpha', PARTITIONS)), 'MAXLEN', 2);
    const seen = await take(rig.consume(), 3);
    expect(seen.map(describe)).toEqual(['alpha: 4-10 are missing', 'alpha 11', 'alpha 12']);
  });

  it('parks what can not be read, and goes on', async () => {
    await rig.publisher.publish('alpha', 1, 1);
    const nonsense = await rig.publisher.add('alpha', ['hello', 'world']);
    await rig.publisher.add('alpha', entryFields('alpha', JOURNAL, 2, Buffer.from([0xff, 0xff])));
    const newer = entryFields('alpha', JOURNAL, 3, encodeRecord('vm'));
    newer[7] = 'dev.vmwarden.record.v99';
    await rig.publisher.add('alpha', newer);
    await rig.publisher.publish('alpha', 4, 4);
    const seen = await take(rig.consume(), 5);
    expect(sequencesOf(seen, 'alpha')).toEqual([1, 4]);
    expect(seen.filter(({ kind }) => kind === 'parked')).toMatchObject(
      [
        { entryId: nonsense, identity: null, reason: /^specversion is absent/ },
        { identity: { host: 'alpha', sequence: 2 }, reason: /^data is no record/ },
        { identity: { host: 'alpha', sequence: 3 }, reason: /^type is "dev.vmwarden.record.v99"/ },
      ].map(({ reason, ...rest }) => ({ ...rest, reason: expect.stringMatching(reason) })),
    );
    const parked = await rig.redis.client.xrange(
      groupKeys(FLEET, PARTITIONS, 'g').partition(partitionOf('alpha', PARTITIONS)).parked,
      '-',
      '+',
    );
    expect(parked.map(([, fields]) => fields.slice(0, 6))).toMatchObject([
      ['parkedgroup', 'g', 'parkedreason', expect.anything(), 'parkedentry', nonsense],
      expect.arrayContaining(['parkedgroup', 'g']),
      expect.arrayContaining(['parkedgroup', 'g']),
    ]);
    expect(parked[0]?.[1].slice(6)).toEqual(['hello', 'world']);
    await waitFor('nothing is pending', async () => (await pendingOf('alpha', 'g')) === 0);
  });

  it('hands out again what failed, in order, and parks it in the end', async () => {
    await rig.publisher.publish('alpha', 1, 2);
    const items = rig.consume({ maxAttempts: 3, retryDelayMs: 1 });
    const attempts: string[] = [];
    for await (const item of items) {
      if (item.kind === 'parked') {
        attempts.push(item.reason);
      } else if (item.kind === 'record') {
        attempts.push(`${item.sequence} ${item.attempt}`);
        if (item.sequence === 1) await item.retry('no such VM');
        else await item.ack();
      }
      if (attempts.length === 5) break;
    }
    expect(attempts.filter((line) => line.startsWith('1'))).toEqual(['1 1', '1 2', '1 3']);
    expect(attempts.filter((line) => line.startsWith('2'))).toEqual(['2 1']);
    expect(attempts).toContain('failed 3 times: no such VM');
    await waitFor('both are settled', async () => (await ackedOf('alpha', 'g')) === '2');
  });

  it('ends when its signal aborts, while it waits and before it began', async () => {
    const abort = new AbortController();
    const waiting = rig.consume({ signal: abort.signal }).next();
    abort.abort();
    expect(await waiting).toEqual({ done: true, value: undefined });
    const late = rig.consume({ signal: abort.signal });
    expect(await late.next()).toEqual({ done: true, value: undefined });
  });

  it('takes no ack once it has ended', async () => {
    await rig.publisher.publish('alpha', 1, 1);
    const items = rig.consume();
    const delivery = await nextRecord(items);
    await items.return?.();
    await expect(delivery.ack()).rejects.toMatchObject({ reason: 'FLEET_CLOSED' });
    expect(sequencesOf(await take(rig.consume(), 1), 'alpha')).toEqual([1]);
  });

  it('refuses options that are out of range, each by name', () => {
    expect(() => rig.consume({ group: 'a b', readAhead: 1, takeoverAfterMs: 5 })).toThrow(
      expect.objectContaining({
        reason: 'FLEET_BAD_INPUT',
        detail: {
          violations: [
            { field: 'group', value: '"a b"', expected: expect.any(String) },
            { field: 'readAhead', value: '1', expected: 'a whole number from 2 to 4096' },
            { field: 'takeoverAfterMs', value: '5', expected: expect.any(String) },
          ],
        },
      }),
    );
  });

  it('refuses a filter that leaves nothing because it is misspelt', async () => {
    const fields = (ask: () => unknown) => {
      try {
        ask();
      } catch (error) {
        return (error as Fault).detail.violations?.map(({ field }) => field);
      }
      return null;
    };
    const misspelt = { kinds: ['evnet'], hosts: 'alpha', vm: ['1'] } as unknown as Filter;
    const expected = ['filter.kinds[0]', 'filter.hosts', 'filter.vm'];
    expect(fields(() => rig.consume({ filter: misspelt }))).toEqual(expected);
    expect(fields(() => rig.fleet().follow({ filter: misspelt }))).toEqual(expected);
  });

  it('ends with a fault when the fleet has another number of partitions than before', async () => {
    await rig.publisher.publish('alpha', 1, 1);
    const items = rig.consume();
    await (await nextRecord(items)).ack();
    await rig.redis.client.hset(metaKey(FLEET), 'partitions', 16);
    const next = items.next();
    await rig.redis.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await expect(next).rejects.toMatchObject({ reason: 'FLEET_CHANGED' });
  });

  const keysOf = (host: string, group: string) =>
    groupKeys(FLEET, PARTITIONS, group).partition(partitionOf(host, PARTITIONS));

  const ackedOf = (host: string, group: string): Promise<string | null> =>
    rig.redis.client.hget(keysOf(host, group).marks, `${host}/${JOURNAL}`);

  const pendingOf = async (host: string, group: string): Promise<number> => {
    const [count] = (await rig.redis.client.xpending(keysOf(host, group).records, group)) as [
      number,
    ];
    return count;
  };

  /** Waits until a lease was renewed so often. */
  const renewals = async (count: number): Promise<void> => {
    const { lease } = keysOf('alpha', 'g');
    let left = await rig.redis.client.pttl(lease);
    for (let seen = 0; seen < count; ) {
      await waitFor('a renewal', async () => {
        const now = await rig.redis.client.pttl(lease);
        const renewed = now > left;
        left = now;
        return renewed;
      });
      seen += 1;
    }
  };
});

const describe = (item: FleetItem): string => {
  switch (item.kind) {
    case 'record':
      return `${item.host} ${item.sequence}`;
    case 'parked':
      return `parked ${item.entryId}`;
    case 'gap': {
      const { missing } = item;
      if (missing.cause !== 'journalChanged') {
        const why = missing.cause === 'loss' ? `lost: ${missing.reason}` : 'missing';
        return `${item.host}: ${missing.first}-${missing.last} are ${why}`;
      }
      return `${item.host}: after ${missing.previousJournalId}`;
    }
  }
};
