import { RedisBus, type RedisBusOptions } from '../../src/bus/redis/redis-bus.js';
import type { RedisBusConfig, RedisPlace } from '../../src/config/config.js';

/** Few, so that hosts of one test share partitions. */
export const PARTITIONS = 4;
export const FLEET = 'test';

export const busConfig = (
  at: RedisPlace | number,
  rest: Partial<RedisBusConfig> = {},
): RedisBusConfig => ({
  kind: 'redis',
  fleet: FLEET,
  at: typeof at === 'number' ? { kind: 'single', host: '127.0.0.1', port: at } : at,
  tls: null,
  username: null,
  passwordFile: null,
  partitions: PARTITIONS,
  minReplicas: 0,
  trim: { maxAgeMs: 3_600_000, maxLength: 1_000_000 },
  ...rest,
});

export const redisBus = (
  config: RedisBusConfig,
  host: string,
  journalId: string,
  rest: Partial<RedisBusOptions> = {},
): RedisBus => new RedisBus({ config, host, journalId, ...rest });
