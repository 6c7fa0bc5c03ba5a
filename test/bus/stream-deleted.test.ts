import { afterEach, expect, it } from 'vitest';
import { recordsKey } from '../../src/bus/redis/keys.js';
import { describePart } from '../support/parts.js';
import { busConfig, FLEET, redisBus } from '../support/redis-bus-rig.js';
import { type RedisProcess, startRedisProcess } from '../support/redis-process.js';
import { type RelayRig, startRelayRig } from '../support/relay-rig.js';
import { checkHost, readStreams } from '../support/stream-checker.js';
import { waitFor } from '../support/wait-for.js';

describePart('redis-server', 'a stream that somebody deletes', () => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  const rigsOn = async (redis: RedisProcess): Promise<RelayRig[]> => {
    const rigs = ['one', 'two'].map((host) =>
      startRelayRig({
        host,
        bus: (journalId) => redisBus(busConfig(redis.port, { partitions: 1 }), host, journalId),
      }),
    );
    for (const rig of rigs) {
      ends.push(() => rig.stop(0));
      await rig.append(300);
      await rig.caughtUp();
    }
    return rigs;
  };
  const isWhole = async (redis: RedisProcess, rigs: readonly RelayRig[]): Promise<void> => {
    const problems = async (): Promise<string[]> => {
      const entries = await readStreams(redis.client, FLEET);
      const found = rigs.map(async (rig) => checkHost(entries, await rig.expectation()));
      return (await Promise.all(found)).flat();
    };
    await waitFor('all is there again', async () => (await problems()).length === 0);
  };

  it('gets everything of all its hosts again, though only one of them has news', async () => {
    const redis = await startRedisProcess();
    ends.push(() => redis.end());
    const rigs = await rigsOn(redis);
    await redis.client.del(recordsKey(FLEET, 0));
    await rigs[0]?.append(1);
    await isWhole(redis, rigs);
  });

  it('does so also when a consumer group made an empty one in its place', async () => {
    const redis = await startRedisProcess();
    ends.push(() => redis.end());
    const rigs = await rigsOn(redis);
    const key = recordsKey(FLEET, 0);
    await redis.client.multi().del(key).xgroup('CREATE', key, 'g', '0', 'MKSTREAM').exec();
    await isWhole(redis, rigs);
  });

  it('gets nothing again when it was only trimmed to nothing', async () => {
    const redis = await startRedisProcess();
    ends.push(() => redis.end());
    const rigs = await rigsOn(redis);
    await redis.client.xtrim(recordsKey(FLEET, 0), 'MAXLEN', 0);
    for (const rig of rigs) {
      await rig.append(1);
      await rig.caughtUp();
    }
    const entries = await readStreams(redis.client, FLEET);
    expect(entries.map(({ host, sequence }) => `${host} ${sequence}`).sort()).toEqual([
      'one 301',
      'two 301',
    ]);
  });
});
