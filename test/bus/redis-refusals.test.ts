import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Bus } from '../../src/bus/bus.js';
import { sayAtRisk } from '../../src/bus/reader-at-risk.js';
import { toFault } from '../../src/bus/redis/errors.js';
import type { RedisBusOptions } from '../../src/bus/redis/redis-bus.js';
import type { RedisBusConfig } from '../../src/config/config.js';
import { batchOf } from '../contract/bus.js';
import { describePart } from '../support/parts.js';
import { busConfig, FLEET, PARTITIONS, redisBus } from '../support/redis-bus-rig.js';
import { startRedisPair } from '../support/redis-pair.js';
import {
  type RedisProcess,
  type RedisProcessOptions,
  startRedisProcess,
} from '../support/redis-process.js';
import { startRelayRig } from '../support/relay-rig.js';
import { readStreams } from '../support/stream-checker.js';
import { waitFor } from '../support/wait-for.js';

const JOURNAL = 'a'.repeat(32);
const RECORDS = 'vmwarden:{test/0}:records';

describePart('redis-server', 'a Redis that can’t be used as it is', () => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  const redisWith = async (options: RedisProcessOptions = {}): Promise<RedisProcess> => {
    const redis = await startRedisProcess(options);
    ends.push(() => redis.end());
    return redis;
  };
  const busOf = (
    redis: { readonly port: number },
    config: Partial<RedisBusConfig> = {},
    options: Partial<RedisBusOptions> = {},
  ): Bus => {
    const all = { careEvery: 1, timeoutMs: 2_000, ...options };
    const bus = redisBus(busConfig(redis.port, { partitions: 1, ...config }), 'h', JOURNAL, all);
    ends.push(() => bus.close());
    return bus;
  };
  const scratch = (): string => {
    const dir = mkdtempSync(join(tmpdir(), 'vmwarden-bus-'));
    ends.push(() => rmSync(dir, { recursive: true }));
    return dir;
  };

  it('says so when it is in protected mode', () => {
    const said = new Error('DENIED Redis is running in protected mode because');
    expect(toFault(said, 'Redis at r:1')).toMatchObject({ reason: 'BUS_DENIED' });
  });

  describe('by its settings', () => {
    it('is refused when it evicts any key, at once and when it is changed later', async () => {
      const redis = await redisWith({ args: ['--maxmemory-policy', 'allkeys-lru'] });
      const bus = busOf(redis);
      const evicts = { code: 'FAILED_PRECONDITION', reason: 'BUS_EVICTS' };
      await expect(bus.open()).rejects.toMatchObject(evicts);
      await expect(bus.open()).rejects.toThrow('allkeys-lru');
      await redis.client.config('SET', 'maxmemory-policy', 'volatile-lru');
      await bus.open();
      await bus.publish(batchOf(1, 1));
      await redis.client.config('SET', 'maxmemory-policy', 'allkeys-random');
      await expect(bus.beat()).rejects.toMatchObject(evicts);
    });

    it('is refused when its fleet has another number of partitions', async () => {
      const redis = await redisWith();
      await busOf(redis, { partitions: PARTITIONS }).open();
      const other = busOf(redis, { partitions: PARTITIONS + 1 });
      await expect(other.open()).rejects.toMatchObject({
        code: 'FAILED_PRECONDITION',
        reason: 'BUS_PARTITIONS',
        message: expect.stringMatching(/\b4\b.*\b5\b/),
      });
      await busOf(redis, { fleet: 'another', partitions: PARTITIONS + 1 }).open();
    });

    it('is refused when a key of the fleet holds something else', async () => {
      const redis = await redisWith();
      await redis.client.set(RECORDS, 'x');
      const bus = busOf(redis);
      await bus.open();
      await expect(bus.publish(batchOf(1, 1))).rejects.toMatchObject({ reason: 'BUS_MISUSED' });
      await redis.client.del(RECORDS);
      expect(await bus.open()).toBeNull();
    });
  });

  describe('by its state', () => {
    it('is refused when it says what no vmwarden does of where the host stopped', async () => {
      const redis = await redisWith();
      const bus = busOf(redis);
      await bus.open();
      await bus.publish(batchOf(1, 2));
      await redis.client.hset('vmwarden:{test/0}:published', 'h', 'rubbish');
      await expect(bus.beat()).rejects.toMatchObject({
        reason: 'BUS_MISUSED',
        message: expect.stringContaining('rubbish'),
      });
      await expect(bus.open()).rejects.toMatchObject({ reason: 'BUS_MISUSED' });
      expect(await readStreams(redis.client, FLEET)).toHaveLength(2);
      await redis.client.hset('vmwarden:{test}:meta', 'partitions', 'rubbish');
      await expect(bus.open()).rejects.toMatchObject({
        reason: 'BUS_PARTITIONS',
        message: expect.stringContaining('rubbish'),
      });
    });

    it('takes nobody for alive whose last beat is far in the future, since its clock was set back', async () => {
      const redis = await redisWith();
      const bus = busOf(redis);
      const other = (journal: string) => `${Date.now() + 3_600_000}:alive:${journal.repeat(32)}:1`;
      await redis.client.hset('vmwarden:{test/0}:alive', 'h', other('b'), 'h/rival', other('c'));
      expect(await bus.open()).toBeNull();
      await redis.client.hset('vmwarden:{test/0}:alive', 'h/rival', other('c'));
      expect(await bus.publish(batchOf(1, 2))).toBe(2);
    });

    it('takes nothing by halves when it is full, and goes on when it has room', async () => {
      const redis = await redisWith();
      const bus = busOf(redis);
      await bus.open();
      await bus.publish(batchOf(1, 10));
      await redis.client.config('SET', 'maxmemory', '1');
      await expect(bus.publish(batchOf(11, 20))).rejects.toMatchObject({
        code: 'RESOURCE_EXHAUSTED',
        reason: 'BUS_FULL',
      });
      await expect(bus.open()).rejects.toMatchObject({ reason: 'BUS_FULL' });
      await redis.client.config('SET', 'maxmemory', '0');
      expect(await bus.open()).toMatchObject({ sequence: 10 });
      expect(await bus.publish(batchOf(11, 20))).toBe(20);
      const sequences = (await readStreams(redis.client, FLEET)).map(({ sequence }) => sequence);
      expect(sequences).toEqual(Array.from({ length: 20 }, (_, at) => at + 1));
    });

    it('is waited for as a replica, and while it can’t write to its disk', async () => {
      const redis = await redisWith({ args: ['--enable-protected-configs', 'yes'] });
      const bus = busOf(redis);
      await redis.client.replicaof('127.0.0.1', 1);
      await redis.client.config('SET', 'replica-serve-stale-data', 'yes');
      await expect(bus.open()).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining('READONLY'),
      });
      await redis.client.replicaof('NO', 'ONE');
      await bus.open();
      await redis.client.config('SET', 'save', '3600 1');
      await redis.client.config('SET', 'dir', '/proc');
      await redis.client.bgsave();
      await waitFor('saving failed', async () =>
        (await redis.client.info('persistence')).includes('rdb_last_bgsave_status:err'),
      );
      await expect(bus.publish(batchOf(1, 1))).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining('MISCONF'),
      });
    });

    it('is waited for while it loads its data', async () => {
      const redis = await redisWith({ args: ['--enable-debug-command', 'yes'] });
      const rig = startRelayRig({
        host: 'h',
        bus: (id) => redisBus(busConfig(redis.port), 'h', id, { timeoutMs: 1_000 }),
      });
      ends.push(() => rig.stop(0));
      await rig.append(5);
      await rig.caughtUp();
      for (let key = 0; key < 2_000; key += 1) await redis.client.set(`other ${key}`, key);
      await redis.client.save();
      await redis.stop('SIGKILL');
      // 2,000 keys, half a millisecond each; it answers while it loads.
      const slowly = ['--key-load-delay', '500', '--loading-process-events-interval-bytes', '1024'];
      const starting = redis.start(slowly);
      await waitFor('it was told that Redis loads', () =>
        rig.told.some(({ fault }) => fault?.message.includes('LOADING') === true),
      );
      await starting;
      await rig.append(5);
      await rig.caughtUp();
    });

    it('has too few replicas, until it has enough', async () => {
      const pair = await startRedisPair();
      ends.push(() => pair.end());
      await pair.synced();
      const bus = busOf(pair.master, { minReplicas: 1 }, { timeoutMs: 600 });
      await bus.open();
      expect(await bus.publish(batchOf(1, 5))).toBe(5);
      pair.link.stall('server');
      await expect(bus.publish(batchOf(6, 9))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      // In the master, so skipped from here on; but not confirmed before a replica has it.
      await expect(bus.open()).rejects.toThrow('only 0 of bus.minReplicas 1');
      pair.link.mend();
      await pair.synced();
      expect(await bus.open()).toMatchObject({ sequence: 9 });
      expect(await bus.publish(batchOf(10, 10))).toBe(10);
    });
  });

  describe('by what it has forgotten', () => {
    it('waits for a replica also when it has to be told the script anew', async () => {
      const pair = await startRedisPair();
      ends.push(() => pair.end());
      await pair.synced();
      const bus = busOf(pair.master, { minReplicas: 1 }, { timeoutMs: 600 });
      await bus.open();
      await pair.synced();
      await pair.master.client.script('FLUSH');
      pair.link.stall('server');
      await expect(bus.publish(batchOf(1, 5))).rejects.toThrow('only 0 of bus.minReplicas 1');
    });

    it('knows where the last eight journals of a host ended, and no more', async () => {
      const redis = await redisWith();
      const journal = (index: number): string => `${index}`.repeat(4);
      for (let index = 0; index < 10; index += 1) {
        const config = busConfig(redis.port, { partitions: 1 });
        const bus = redisBus(config, 'h', journal(index), { silentMs: 0 });
        ends.push(() => bus.close());
        await bus.open();
        const replaces = index === 0 ? null : journal(index - 1);
        await bus.publish({ ...batchOf(1, index + 1), replaces });
        await bus.leave();
      }
      const known = Array.from({ length: 8 }, (_, at) => `${journal(8 - at)}:${9 - at}`);
      expect(await redis.client.hget('vmwarden:{test/0}:ended', 'h')).toBe(known.join(','));
    });
  });

  describe('by who asks', () => {
    const rule = ['~vmwarden:*', '+@all', '-@dangerous', '+info'];

    it('wants a password, and the right one', async () => {
      const redis = await redisWith({ args: ['--requirepass', 'secret'], password: 'secret' });
      const file = join(scratch(), 'password');
      const denied = { code: 'FAILED_PRECONDITION', reason: 'BUS_DENIED' };
      await expect(busOf(redis).open()).rejects.toMatchObject(denied);
      await expect(busOf(redis, { passwordFile: file }).open()).rejects.toThrow(file);
      writeFileSync(file, 'wrong\n');
      const bus = busOf(redis, { passwordFile: file });
      await expect(bus.open()).rejects.toMatchObject(denied);
      writeFileSync(file, 'secret\n');
      await bus.open();
      expect(await bus.publish(batchOf(1, 2))).toBe(2);
    });

    it('lets a user of few rights in, and names a right that is missing', async () => {
      const redis = await redisWith();
      const file = join(scratch(), 'password');
      writeFileSync(file, 'secret');
      const config = { username: 'warden', passwordFile: file };
      await redis.client.acl('SETUSER', 'warden', 'on', '>secret', ...rule);
      const bus = busOf(redis, config);
      await bus.open();
      expect(await bus.publish(batchOf(1, 2))).toBe(2);
      expect(await bus.beat()).toMatchObject({ warnings: [] });
      await redis.client.acl('SETUSER', 'warden', '-xadd');
      await expect(bus.publish(batchOf(3, 3))).rejects.toMatchObject({ reason: 'BUS_DENIED' });
      await redis.client.acl('SETUSER', 'warden', '+xadd', '-info');
      expect(await bus.open()).toMatchObject({ sequence: 2 });
      const { warnings } = await bus.beat();
      expect(warnings).toEqual([expect.stringContaining('INFO')]);
    });

    it('changes its password without a record lost, and warns of one that is wrong', async () => {
      const redis = await redisWith();
      const file = join(scratch(), 'password');
      writeFileSync(file, 'old');
      await redis.client.acl('SETUSER', 'warden', 'on', '>old', ...rule);
      const bus = busOf(redis, { username: 'warden', passwordFile: file });
      await bus.open();
      await bus.publish(batchOf(1, 2));
      writeFileSync(file, 'new');
      const { warnings } = await bus.beat();
      expect(warnings).toEqual([expect.stringContaining('the ones before stay in use')]);
      expect(await bus.publish(batchOf(3, 3))).toBe(3);
      await redis.client.acl('SETUSER', 'warden', '>new');
      await expect(bus.beat()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(await bus.open()).toMatchObject({ sequence: 3 });
      expect((await bus.beat()).warnings).toEqual([]);
    });
  });

  describe('by TLS', () => {
    const data = (name: string): string => resolve('test/data/tls', name);
    const pems = (age: 'old' | 'new', who: 'server' | 'client') => ({
      ca: data(`${age}-ca.pem`),
      cert: data(`${age}-${who}.pem`),
      key: data(`${age}-${who}.key`),
    });

    it('talks to a server that both trust, and to no other', async () => {
      const redis = await redisWith({ tls: pems('old', 'server') });
      const good = busOf(redis, { tls: { ...pems('old', 'client'), serverName: null } });
      await good.open();
      expect(await good.publish(batchOf(1, 2))).toBe(2);
      const denied = { code: 'FAILED_PRECONDITION', reason: 'BUS_DENIED' };
      const stranger = { ...pems('old', 'client'), ca: data('new-ca.pem'), serverName: null };
      await expect(busOf(redis, { tls: stranger }).open()).rejects.toMatchObject(denied);
      const named = { ...pems('old', 'client'), serverName: 'another' };
      await expect(busOf(redis, { tls: named }).open()).rejects.toMatchObject(denied);
      const bare = { ca: data('old-ca.pem'), cert: null, key: null, serverName: null };
      await expect(busOf(redis, { tls: bare }).open()).rejects.toMatchObject({ isFault: true });
      await expect(busOf(redis, { tls: null }).open()).rejects.toMatchObject({ isFault: true });
    });

    it('takes changed certificates up, once they work', async () => {
      const dir = scratch();
      const files = { ca: join(dir, 'ca'), cert: join(dir, 'cert'), key: join(dir, 'key') };
      const write = (age: 'old' | 'new', who: 'server' | 'client', into: typeof files): void => {
        for (const name of ['ca', 'cert', 'key'] as const) {
          cpSync(pems(age, who)[name], into[name]);
        }
      };
      const server = { ca: join(dir, 's-ca'), cert: join(dir, 's-cert'), key: join(dir, 's-key') };
      write('old', 'server', server);
      write('old', 'client', files);
      const redis = await redisWith({ tls: server });
      const bus = busOf(redis, { tls: { ...files, serverName: null } });
      await bus.open();
      await bus.publish(batchOf(1, 2));
      write('new', 'client', files);
      expect((await bus.beat()).warnings).toEqual([expect.stringContaining('stay in use')]);
      expect(await bus.publish(batchOf(3, 3))).toBe(3);
      write('new', 'server', server);
      // It reads its files anew when it is told the name of one.
      await redis.client.config('SET', 'tls-ca-cert-file', server.ca);
      await expect(bus.beat()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(await bus.open()).toMatchObject({ sequence: 3 });
      expect((await bus.beat()).warnings).toEqual([]);
    });
  });

  describe('for its readers', () => {
    it('keeps as many entries as it may', async () => {
      const redis = await redisWith();
      const bus = busOf(redis, { trim: { maxAgeMs: 3_600_000, maxLength: 500 } });
      await bus.open();
      for (let first = 1; first < 5_000; first += 500)
        await bus.publish(batchOf(first, first + 499));
      const kept = await redis.client.xlen(RECORDS);
      expect(kept).toBeGreaterThanOrEqual(500);
      expect(kept).toBeLessThan(1_000);
    });

    it('keeps entries as long as it may', async () => {
      const redis = await redisWith();
      const bus = busOf(redis, { trim: { maxAgeMs: 50, maxLength: 1_000_000 } });
      await bus.open();
      let last = 0;
      await waitFor('the first entries are gone', async () => {
        last = await bus.publish(batchOf(last + 1, last + 200));
        return (await readStreams(redis.client, FLEET))[0]?.sequence !== 1;
      });
      expect((await readStreams(redis.client, FLEET)).at(-1)?.sequence).toBe(last);
    });

    it('keeps entries by Redis’ clock, whatever a host takes the time for', async () => {
      const redis = await redisWith();
      const bus = busOf(redis);
      await bus.open();
      await bus.publish(batchOf(1, 200));
      vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 400 * 86_400_000 });
      ends.push(() => vi.useRealTimers());
      await bus.beat();
      await bus.publish(batchOf(201, 300));
      expect(await redis.client.xlen(RECORDS)).toBe(300);
    });

    it('warns of a group that is about to lose records, unread or unacked', async () => {
      const redis = await redisWith();
      const bus = busOf(redis, { trim: { maxAgeMs: 3_600_000, maxLength: 100 } });
      await bus.open();
      await bus.publish(batchOf(1, 70));
      await redis.client.xgroup('CREATE', RECORDS, 'slow', '0');
      expect((await bus.beat()).readersAtRisk).toEqual([]);
      await bus.publish(batchOf(71, 95));
      expect((await bus.beat()).readersAtRisk).toMatchObject([
        { stream: RECORDS, group: 'slow', behind: 95, share: 0.95 },
      ]);
      await redis.client.xreadgroup('GROUP', 'slow', 'me', 'COUNT', 95, 'STREAMS', RECORDS, '>');
      expect((await bus.beat()).readersAtRisk).toMatchObject([
        { stream: RECORDS, group: 'slow', behind: 95, share: 0.95 },
      ]);
      const pending = await redis.client.xrange(RECORDS, '-', '+');
      await redis.client.xack(RECORDS, 'slow', ...pending.map(([id]) => id));
      expect((await bus.beat()).readersAtRisk).toEqual([]);
    });

    it('warns of a group whose oldest record is about to be too old', async () => {
      const redis = await redisWith();
      const bus = busOf(redis);
      await bus.open();
      await bus.publish(batchOf(1, 2));
      await redis.client.xgroup('CREATE', RECORDS, 'slow', '0');
      expect((await bus.beat()).readersAtRisk).toEqual([]);
      await redis.client.del(RECORDS);
      await redis.client.xadd(RECORDS, Date.now() - 3_000_000, 'data', '1');
      await redis.client.xgroup('CREATE', RECORDS, 'slow', '0');
      const [risk] = (await bus.beat()).readersAtRisk;
      expect(risk && sayAtRisk(risk)).toContain('50 min old');
    });
  });
});
