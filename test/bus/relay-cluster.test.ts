import { afterEach, beforeEach, expect, it } from 'vitest';
import { partitionOf, publishedKey } from '../../src/bus/redis/keys.js';
import { describePart } from '../support/parts.js';
import { busConfig, FLEET, PARTITIONS, redisBus } from '../support/redis-bus-rig.js';
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.js';
import type { RedisProcess } from '../support/redis-process.js';
import { coveredBy, type RelayRig, startRelayRig } from '../support/relay-rig.js';
import { checkHost, readStreams } from '../support/stream-checker.js';
import { waitFor } from '../support/wait-for.js';

const HOSTS = ['a', 'b', 'c', 'd', 'e', 'f'];

describePart('redis-server', 'a Redis Cluster', () => {
  let cluster: RedisCluster;
  let rigs: RelayRig[] = [];

  const start = (minReplicas: number, hosts = HOSTS): void => {
    const addresses = cluster.masters.map(({ port }) => ({ host: '127.0.0.1', port }));
    const config = busConfig({ kind: 'cluster', addresses }, { minReplicas });
    rigs = hosts.map((host) =>
      startRelayRig({
        host,
        bus: (journalId) => redisBus(config, host, journalId, { timeoutMs: 1_000 }),
      }),
    );
  };
  beforeEach(async () => {
    cluster = await startRedisCluster();
  });
  afterEach(async () => {
    await Promise.all(rigs.splice(0).map((rig) => rig.stop(0)));
    await cluster.end();
  });

  const slotOf = async (host: string): Promise<number> => {
    const key = publishedKey(FLEET, partitionOf(host, PARTITIONS));
    const [node] = cluster.masters;
    return Number(await node?.client.call('CLUSTER', ['KEYSLOT', key]));
  };
  const masterOf = (slot: number): RedisProcess => {
    const node = cluster.masters[Math.floor((slot * 3) / 16_384)];
    if (node === undefined) throw new Error(`nobody has slot ${slot}`);
    return node;
  };
  /** Hosts whose records the first master has: the one that has a replica. */
  const hostsOfFirst = async (): Promise<string[]> => {
    const found: string[] = [];
    for (const host of HOSTS) {
      if (masterOf(await slotOf(host)) === cluster.masters[0]) found.push(host);
    }
    return found;
  };
  const expectAll = async (nodes: readonly RedisProcess[]): Promise<void> => {
    const entries = (
      await Promise.all(nodes.map(({ client }) => readStreams(client, FLEET)))
    ).flat();
    for (const rig of rigs) {
      const problems = checkHost(entries, { ...(await rig.expectation()), coveredBy });
      expect(problems, rig.host).toEqual([]);
    }
  };

  it('takes each host’s records where their slot is, also while slots move', async () => {
    start(0);
    const stops = rigs.map((rig) => rig.keepAppending());
    await Promise.all(
      rigs.map((rig) => waitFor('some', () => (rig.relay.status().published ?? 0) > 50)),
    );
    for (const host of HOSTS) {
      const slot = await slotOf(host);
      const from = masterOf(slot);
      const to = cluster.masters[(cluster.masters.indexOf(from) + 1) % 3] ?? from;
      await cluster.moveSlot(slot, from, to);
      // And back, so that every host's slot moves once.
      await cluster.moveSlot(slot, to, from);
    }
    await Promise.all(stops.map((stop) => stop()));
    await Promise.all(rigs.map((rig) => rig.caughtUp()));
    await expectAll(cluster.masters);
  });

  it('is followed when a replica takes its master’s place', async () => {
    start(0);
    const stops = rigs.map((rig) => rig.keepAppending());
    await Promise.all(
      rigs.map((rig) => waitFor('some', () => (rig.relay.status().published ?? 0) > 50)),
    );
    await cluster.masters[0]?.stop('SIGKILL');
    await waitFor('the replica is a master', async () =>
      (await cluster.replica.client.info('replication')).includes('role:master'),
    );
    await Promise.all(stops.map((stop) => stop()));
    await Promise.all(rigs.map((rig) => rig.caughtUp()));
    await expectAll(cluster.all.slice(1));
  });

  it('counts the replicas of the node that has the records', async () => {
    start(1, await hostsOfFirst());
    expect(rigs.length).toBeGreaterThan(0);
    for (const rig of rigs) await rig.append(20);
    await Promise.all(rigs.map((rig) => rig.caughtUp()));
    await cluster.replica.stop('SIGKILL');
    for (const rig of rigs) await rig.append(20);
    await waitFor('it waits for a replica', () =>
      rigs.every(({ told }) => told.some(({ fault }) => fault?.message.includes('minReplicas'))),
    );
    await cluster.replica.start();
    await Promise.all(rigs.map((rig) => rig.caughtUp()));
    await expectAll(cluster.masters);
  });
});
