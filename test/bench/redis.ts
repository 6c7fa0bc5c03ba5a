import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { Redis } from 'ioredis';
import type { RedisBusConfig } from '../../src/config/config.js';
import { endOf } from './serve.js';

export interface BenchRedis {
  readonly port: number;
  readonly pid: number;
  /** A new connection, over TCP as hosts have it. */
  connect(): Promise<Redis>;
  /** Killed and started again, with nothing in it. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** In memory alone, so that only the work itself is measured. */
export const startBenchRedis = async (program: string, dir: string): Promise<BenchRedis> => {
  mkdirSync(dir, { recursive: true });
  const port = await freePort();
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', dir];
  // A thousand hosts connect at once.
  args.push('--tcp-backlog', '1024', '--maxclients', '4000');
  const run = () => spawn(program, args, { stdio: 'ignore' });
  let child = run();
  const kill = (): Promise<void> => {
    const ended = endOf(child);
    child.kill('SIGKILL');
    return ended;
  };
  const connect = async (): Promise<Redis> => {
    // The server may not listen yet.
    const client = new Redis({
      port,
      protocol: 2,
      maxRetriesPerRequest: null,
      retryStrategy: () => 50,
    });
    client.on('error', () => undefined);
    await client.ping();
    return client;
  };
  (await connect()).disconnect();
  return {
    port,
    get pid() {
      return child.pid ?? -1;
    },
    connect,
    restart: async () => {
      await kill();
      child = run();
    },
    stop: kill,
  };
};

/** What a host would have in its configuration. */
export const busAt = (port: number, partitions: number): RedisBusConfig => ({
  kind: 'redis',
  fleet: 'bench',
  at: { kind: 'single', host: '127.0.0.1', port },
  tls: null,
  username: null,
  passwordFile: null,
  partitions,
  minReplicas: 0,
  trim: { maxAgeMs: 86_400_000, maxLength: 10_000_000 },
});

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
