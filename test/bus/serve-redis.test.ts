import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type App, startApp } from '../../src/app.js';
import { aliveKey, parseAlive, partitionOf } from '../../src/bus/redis/keys.js';
import type { Config } from '../../src/config/config.js';
import { loadConfig } from '../../src/config/load-config.js';
import { HostState, Record } from '../../src/gen/vmwarden/v1/record.js';
import type { Logger } from '../../src/lib/logger.js';
import { describePart } from '../support/parts.js';
import { type RedisProcess, startRedisProcess } from '../support/redis-process.js';
import { readStreams } from '../support/stream-checker.js';
import { waitFor } from '../support/wait-for.js';

const log: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => log,
};

describePart('redis-server', 'vmwarden with bus.kind redis', () => {
  let redis: RedisProcess;
  let dir: string;
  const apps: App[] = [];
  beforeEach(async () => {
    redis = await startRedisProcess();
    dir = mkdtempSync(join(tmpdir(), 'vmw-bus-'));
  });
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.stop();
    await redis.end();
    rmSync(dir, { recursive: true, force: true });
  });

  const configOf = (name: string): Config => {
    const loaded = loadConfig({
      configFile: 'vmwarden.yaml',
      flags: {},
      environment: {},
      workingDirectory: dir,
      hostName: 'host-1',
      readFile: () =>
        `dataDir: ${name}\nstopTimeout: 4s\nbus: { url: "redis://127.0.0.1:${redis.port}", fleet: f }`,
    });
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems));
    return loaded.config;
  };
  const serve = async (name: string): Promise<App> => {
    const app = await startApp(configOf(name), {
      log,
      umask: (mask) => process.umask(mask),
      pid: process.pid,
    });
    apps.push(app);
    return app;
  };
  const told = (app: App): string => app.health.current().detail.join(' | ');

  test('its records arrive; a stop says that the host left; the next start goes on', async () => {
    const first = await serve('data');
    await waitFor('health has nothing to tell', () => told(first) === '');
    const { newest } = first.journal.status();
    expect(newest).toBeGreaterThan(0);
    await first.stop();
    const alive = await redis.client.hget(aliveKey('f', partitionOf('host-1', 64)), 'host-1');
    expect(parseAlive(alive ?? '')?.state).toBe('closed');
    const last = (await readStreams(redis.client, 'f')).at(-1);
    expect(last?.sequence).toBe(newest + 1);
    expect(Record.decode(last?.data ?? Buffer.alloc(0)).body).toMatchObject({
      $case: 'host',
      value: { state: HostState.CLOSED },
    });

    const second = await serve('data');
    await second.stop();
    const entries = await readStreams(redis.client, 'f');
    expect(entries.map(({ sequence }) => sequence)).toEqual(entries.map((_, index) => index + 1));
    expect(entries.length).toBeGreaterThan(newest);
    expect(entries.every(({ host }) => host === 'host-1')).toBe(true);
  });

  test('a Redis that is gone leaves it in service, and health says so', async () => {
    await redis.stop();
    const app = await serve('data');
    await waitFor('it tells', () => told(app).includes('bus: '));
    expect(app.health.current().serving).toBe(true);
    await waitFor('it tells why', () => told(app).includes('ECONNREFUSED'));
    expect(told(app)).toMatch(/; \d+ records wait/);
    await redis.start();
    await waitFor('it has caught up', () => told(app) === '', 20_000);
  });

  test('what an operator has to mend takes it out of service', async () => {
    await redis.client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const app = await serve('data');
    await waitFor('it says so', () => told(app).includes('allkeys-lru'));
    expect(app.health.current().serving).toBe(false);
    await redis.client.config('SET', 'maxmemory-policy', 'noeviction');
    await waitFor('it has come back', () => app.health.current().serving, 20_000);
  });

  test('a Redis that hangs does not hold up a stop', async () => {
    const app = await serve('data');
    await waitFor('it is up', () => told(app) === '');
    redis.freeze();
    const before = performance.now();
    await app.stop();
    expect(performance.now() - before).toBeLessThan(4_000);
    redis.thaw();
  });

  test('a second host of the same name says so, and publishes nothing', async () => {
    const one = await serve('one');
    await waitFor('the first is up', () => told(one) === '');
    const two = await serve('two');
    await waitFor('the second says so', () => told(two).includes('uses the name host-1 too'));
    await two.stop();
    expect(
      (await readStreams(redis.client, 'f')).every(({ journalId }) => journalId === one.journal.id),
    ).toBe(true);
  });
});
