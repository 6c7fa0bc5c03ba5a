import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describePart } from '../support/parts.js';
import { busConfig, FLEET, redisBus } from '../support/redis-bus-rig.js';
import { type RedisProcess, startRedisProcess } from '../support/redis-process.js';
import { type RedisSentinel, startRedisSentinel } from '../support/redis-sentinel.js';
import { coveredBy, type RelayRig, startRelayRig } from '../support/relay-rig.js';
import { checkHost, readStreams } from '../support/stream-checker.js';
import { waitFor } from '../support/wait-for.js';

describePart('redis-server', 'a Redis under Sentinel', () => {
  let nodes: RedisProcess[];
  let sentinel: RedisSentinel;
  let rig: RelayRig;

  const nodeAt = (port: number): RedisProcess => {
    const found = nodes.find((node) => node.port === port);
    if (found === undefined) throw new Error(`nobody listens on ${port}`);
    return found;
  };
  beforeEach(async () => {
    nodes = await Promise.all([startRedisProcess(), startRedisProcess()]);
    const [master, replica] = nodes;
    if (master === undefined || replica === undefined) throw new Error('there are no servers');
    await replica.client.replicaof('127.0.0.1', master.port);
    sentinel = await startRedisSentinel('fleet', master.port);
    await waitFor('the Sentinel knows the replica', async () => {
      const answer = await sentinel.client.call('SENTINEL', ['REPLICAS', 'fleet']);
      const known = JSON.stringify(answer);
      return known.includes(`${replica.port}`) && known.includes('"master-link-status","ok"');
    });
    rig = startRelayRig({
      host: 'h',
      bus: (journalId) => {
        const addresses = [{ host: '127.0.0.1', port: sentinel.port }];
        const config = busConfig({ kind: 'sentinel', name: 'fleet', addresses });
        return redisBus(config, 'h', journalId, { timeoutMs: 500 });
      },
    });
  });
  afterEach(async () => {
    await rig.stop(0);
    await sentinel.end();
    await Promise.all(nodes.map((node) => node.end()));
  });

  it('is followed to the next master, and what that one lacks is sent again', async () => {
    const stop = rig.keepAppending();
    await waitFor('some are published', () => (rig.relay.status().published ?? 0) > 300);
    const before = await sentinel.master();
    await nodeAt(before).stop('SIGKILL');
    await waitFor('another master', async () => (await sentinel.master()) !== before);
    await stop();
    await rig.caughtUp();
    const master = nodeAt(await sentinel.master());
    await master.reconnect();
    const entries = await readStreams(master.client, FLEET);
    expect(checkHost(entries, { ...(await rig.expectation()), coveredBy })).toEqual([]);
    expect(rig.told.some(({ state }) => state === 'waiting')).toBe(true);
  });

  it('is found through Sentinels that want a password of their own', async () => {
    const [master] = nodes;
    const guarded = await startRedisSentinel('guarded', master?.port ?? 0, 'sesame');
    const dir = mkdtempSync(join(tmpdir(), 'vmwarden-sentinel-'));
    const passwordFile = join(dir, 'password');
    writeFileSync(passwordFile, 'sesame\n');
    try {
      const at = {
        kind: 'sentinel',
        name: 'guarded',
        addresses: [{ host: '127.0.0.1', port: guarded.port }],
      } as const;
      const refused = redisBus(busConfig(at), 'x', 'a'.repeat(32), { timeoutMs: 2_000 });
      await expect(refused.open()).rejects.toMatchObject({
        reason: 'BUS_DENIED',
        message: expect.stringContaining('bus.sentinel.passwordFile'),
      });
      refused.close();
      const bus = redisBus(busConfig({ ...at, passwordFile }), 'x', 'a'.repeat(32));
      expect(await bus.open()).toBeNull();
      bus.close();
    } finally {
      await guarded.end();
      rmSync(dir, { recursive: true });
    }
  });
});
