import { afterEach, beforeEach, expect, it } from 'vitest';
import { metaKey } from '../../src/bus/redis/keys.js';
import type { Fleet } from '../../src/fleet/fleet.js';
import { openFleet } from '../../src/fleet/open-fleet.js';
import { describePart } from '../support/parts.js';
import { type RedisProcess, startRedisProcess } from '../support/redis-process.js';
import { waitFor } from '../support/wait-for.js';
import { createPublisher, FLEET, PARTITIONS } from './publisher.js';
import { range, run, sequencesOf } from './rig.js';

const HOSTS = range(1, 9).map((number) => `host-${number}`);

describePart('redis-server', 'a fleet in a Redis Cluster', () => {
  let nodes: RedisProcess[];
  let fleet: Fleet;

  beforeEach(async () => {
    const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '600000'];
    nodes = await Promise.all([startRedisProcess({ args }), startRedisProcess({ args })]);
    const [one, two] = nodes;
    if (one === undefined || two === undefined) throw new Error('no nodes');
    await one.client.call('CLUSTER', ['ADDSLOTSRANGE', 0, 8191]);
    await two.client.call('CLUSTER', ['ADDSLOTSRANGE', 8192, 16383]);
    await one.client.call('CLUSTER', ['MEET', '127.0.0.1', two.port]);
    await waitFor('the cluster is there', async () => {
      const infos = await Promise.all(nodes.map(({ client }) => client.call('CLUSTER', ['INFO'])));
      const slots = await Promise.all(nodes.map(({ client }) => client.call('CLUSTER', ['SLOTS'])));
      return (
        infos.every((info) => String(info).includes('cluster_state:ok')) &&
        slots.every((all) => Array.isArray(all) && all.length === 2)
      );
    });
    // Either node is asked first and sends on to the other.
    const addresses = nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
    fleet = openFleet({ cluster: addresses, fleet: FLEET });
  });
  afterEach(async () => {
    await fleet.close();
    await Promise.all(nodes.map((node) => node.end()));
  });

  /** Puts each host's records on the node that has its slot. */
  const publish = async (first: number, last: number): Promise<void> => {
    for (const host of HOSTS) {
      for (const node of nodes) {
        const publisher = createPublisher(() => node.client);
        const moved = await publisher.publish(host, first, last).then(
          () => false,
          (error: Error) => error.message.startsWith('MOVED'),
        );
        if (!moved) break;
      }
    }
  };

  it('is consumed, followed and surveyed as any other', async () => {
    for (const { client } of nodes) {
      await client.hset(metaKey(FLEET), 'partitions', PARTITIONS).catch(() => undefined);
    }
    await publish(1, 20);
    const one = run(fleet.consume({ group: 'g', consumer: 'one', takeoverAfterMs: 1000 }));
    const two = run(fleet.consume({ group: 'g', consumer: 'two', takeoverAfterMs: 1000 }));
    await waitFor('what was there', () => one.acked.length + two.acked.length === 180);
    await publish(21, 21);
    await waitFor('what came', () => one.acked.length + two.acked.length === 189);
    for (const host of HOSTS) {
      const handed = [...sequencesOf(one.items, host), ...sequencesOf(two.items, host)];
      expect(
        handed.sort((a, b) => a - b),
        host,
      ).toEqual(range(1, 21));
    }
    const hosts = await fleet.hosts();
    expect(hosts.map(({ host, groups }) => [host, groups[0]?.lag])).toEqual(
      HOSTS.map((host) => [host, 0]),
    );
    expect((await fleet.audit()).flatMap(({ gaps }) => gaps)).toEqual([]);
    let followed = 0;
    for await (const item of fleet.follow({ from: 'beginning', untilNewest: true })) {
      if (item.kind === 'record') followed += 1;
    }
    expect(followed).toBe(189);
  });
});
