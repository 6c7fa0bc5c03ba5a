import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { partitionOf, publishedKey } from '../../src/bus/redis/keys.js';
import { describePart } from '../support/parts.js';
import { busConfig, PARTITIONS, redisBus } from '../support/redis-bus-rig.js';
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.js';
import { coveredBy, type RelayRig, startRelayRig } from '../support/relay-rig.js';
import { checkHost, readStreams } from '../support/stream-checker.js';
import { waitFor } from '../support/wait-for.js';

const HOSTS = ['a', 'b', 'c', 'd', 'e', 'f'];
const SOON_MS = 60_000;

describePart('redis-server', 'a Redis Cluster of three masters and their replicas', () => {
  let cluster: RedisCluster;
  let rigs: RelayRig[] = [];

  beforeAll(async () => {
    cluster = await startRedisCluster();
  }, 120_000);
  afterEach(async () => {
    await Promise.all(rigs.splice(0).map((rig) => rig.stop(0)));
  });
  afterAll(() => cluster.end());

  /** Each test has a fleet of its own. */
  const start = async (fleet: string, minReplicas = 0): Promise<void> => {
    const addresses = (await cluster.masters()).map(({ port }) => ({ host: '127.0.0.1', port }));
    const config = busConfig({ kind: 'cluster', addresses }, { fleet, minReplicas });
    rigs = HOSTS.map((host) =>
      startRelayRig({
        host,
        bus: (journalId) => redisBus(config, host, journalId, { timeoutMs: 2_000 }),
      }),
    );
  };
  const published = (count: number): Promise<unknown> =>
    Promise.all(
      rigs.map((rig) =>
        waitFor('some', () => (rig.relay.status().published ?? 0) >= count, SOON_MS),
      ),
    );
  const slotOf = (fleet: string, host: string): Promise<number> =>
    cluster.slotOf(publishedKey(fleet, partitionOf(host, PARTITIONS)));
  const expectAll = async (fleet: string): Promise<void> => {
    await Promise.all(rigs.map((rig) => rig.caughtUp(SOON_MS)));
    const nodes = await cluster.masters();
    expect(nodes).toHaveLength(3);
    const entries = (
      await Promise.all(nodes.map(({ client }) => readStreams(client, fleet)))
    ).flat();
    for (const rig of rigs) {
      const problems = checkHost(entries, { ...(await rig.expectation()), coveredBy });
      expect(problems, rig.host).toEqual([]);
    }
  };

  it('takes each host’s records where their slot is, also while slots move', async () => {
    await start('moving');
    const stops = rigs.map((rig) => rig.keepAppending());
    await published(50);
    for (const host of HOSTS) {
      const slot = await slotOf('moving', host);
      const from = await cluster.masterOf(slot);
      const to = (await cluster.masters()).find((node) => node !== from) ?? from;
      await cluster.moveSlot(slot, to);
      expect(await cluster.masterOf(slot)).toBe(to);
      const rig = rigs.find((one) => one.host === host);
      const before = rig?.journal.status().newest ?? 0;
      await waitFor(
        `${host} goes on at its slot's new place`,
        () => (rig?.relay.status().published ?? 0) > before,
        SOON_MS,
      );
    }
    await Promise.all(stops.map((stop) => stop()));
    await expectAll('moving');
  }, 180_000);

  it('is followed when replicas take their masters’ places', async () => {
    await start('failing');
    const stops = rigs.map((rig) => rig.keepAppending());
    await published(50);
    for (const master of await cluster.masters()) {
      await cluster.failOver(master);
      const seen = Math.max(...rigs.map(({ journal }) => journal.status().newest));
      await published(seen);
    }
    await Promise.all(stops.map((stop) => stop()));
    await expectAll('failing');
  }, 180_000);

  it('counts the replicas of the node that has the records', async () => {
    const [first] = HOSTS;
    const master = await cluster.masterOf(await slotOf('counting', first ?? ''));
    const replica = await cluster.replicaOf(master);
    await start('counting', 1);
    for (const rig of rigs) await rig.append(20);
    await Promise.all(rigs.map((rig) => rig.caughtUp(SOON_MS)));
    await replica.stop('SIGKILL');
    for (const rig of rigs) await rig.append(20);
    await waitFor(
      'it waits for a replica',
      () => rigs[0]?.told.some(({ fault }) => fault?.message.includes('minReplicas')) === true,
      SOON_MS,
    );
    await replica.start();
    await expectAll('counting');
  }, 180_000);
});
