import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { partPath } from './parts.js';
import { freePort } from './redis-process.js';
import { waitFor } from './wait-for.js';

export interface RedisSentinel {
  readonly port: number;
  readonly client: Redis;
  /** Where it says that the master is. */
  master(): Promise<number>;
  end(): Promise<void>;
}

/** A Sentinel that decides alone and soon: a master that is silent for 300 ms is replaced. */
export const startRedisSentinel = async (
  name: string,
  masterPort: number,
  password: string | null = null,
): Promise<RedisSentinel> => {
  const dir = mkdtempSync(join(tmpdir(), 'vmwarden-sentinel-'));
  const port = await freePort();
  // It keeps what it knows in its own configuration.
  const file = join(dir, 'sentinel.conf');
  writeFileSync(
    file,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${dir}`,
      `sentinel monitor ${name} 127.0.0.1 ${masterPort} 1`,
      `sentinel down-after-milliseconds ${name} 300`,
      `sentinel failover-timeout ${name} 2000`,
      ...(password === null ? [] : [`requirepass ${password}`]),
      '',
    ].join('\n'),
  );
  const child: ChildProcess = spawn(partPath('redis-server'), [file, '--sentinel'], {
    stdio: 'ignore',
  });
  const client = new Redis({
    port,
    lazyConnect: true,
    retryStrategy: () => null,
    ...(password !== null && { password }),
  });
  client.on('error', () => undefined);
  await waitFor('the Sentinel answers', () =>
    client.connect().then(
      () => true,
      () => child.exitCode !== null,
    ),
  );
  return {
    port,
    client,
    master: async () => {
      const answer: unknown = await client.call('SENTINEL', ['GET-MASTER-ADDR-BY-NAME', name]);
      return Array.isArray(answer) ? Number(answer[1]) : 0;
    },
    end: async () => {
      client.disconnect();
      if (child.exitCode === null) {
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGKILL');
        await gone;
      }
      rmSync(dir, { recursive: true, force: true });
    },
  };
};
