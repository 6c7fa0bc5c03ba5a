import { MemoryBus, MemoryFleet } from '../../src/bus/memory-bus.js';
import { busContract } from '../contract/bus.js';
import { describePart } from '../support/parts.js';
import { busConfig, FLEET, redisBus } from '../support/redis-bus-rig.js';
import { startRedisProcess } from '../support/redis-process.js';
import { readStreams } from '../support/stream-checker.js';

busContract('the memory bus', async () => {
  const fleet = new MemoryFleet();
  return {
    bus: (host, journalId) => new MemoryBus(fleet, host, journalId),
    entries: async (host) =>
      fleet.entries
        .filter((entry) => entry.host === host)
        .map(({ journalId, sequence, bytes }) => `${journalId}:${sequence}=${Buffer.from(bytes)}`),
    forget: async () => fleet.clear(),
    dispose: async () => undefined,
  };
});

describePart('redis-server', 'over a real server', () => {
  busContract('the Redis bus', async () => {
    const redis = await startRedisProcess();
    return {
      bus: (host, journalId) => redisBus(busConfig(redis.port), host, journalId),
      entries: async (host) =>
        (await readStreams(redis.client, FLEET))
          .filter((entry) => entry.host === host)
          .map(({ journalId, sequence, data }) => `${journalId}:${sequence}=${data}`),
      forget: async () => {
        await redis.client.flushall();
      },
      dispose: () => redis.end(),
    };
  });
});
