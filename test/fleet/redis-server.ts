import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { partPath } from '../support/parts.js';
import { waitFor } from '../support/wait-for.js';

/** A real redis-server of a test's own, on a unix socket in a temporary directory. */
export interface RedisServer {
  readonly socket: string;
  /** A connection for the test's own questions; made anew after each `start`. */
  readonly client: Redis;
  readonly start: () => Promise<void>;
  readonly stop: (signal: 'SIGTERM' | 'SIGKILL') => Promise<void>;
  /** Stops it and removes its directory. */
  readonly end: () => Promise<void>;
}

/** Keeps every write (`appendfsync always`), so that what it said is there after `stop`. */
export const startRedis = async (): Promise<RedisServer> => {
  const dir = mkdtempSync(join(tmpdir(), 'vmwarden-redis-'));
  const socket = join(dir, 'redis.sock');
  const args = ['--port', '0', '--unixsocket', socket, '--dir', dir, '--save', ''];
  args.push('--appendonly', 'yes', '--appendfsync', 'always', '--loglevel', 'warning');
  let child: ChildProcess | null = null;
  let client: Redis | null = null;

  const start = async (): Promise<void> => {
    const started = spawn(partPath('redis-server'), args, { stdio: 'ignore' });
    child = started;
    await waitFor('redis-server listens', () => listens(socket));
    client = new Redis(socket, { lazyConnect: true, retryStrategy: () => null });
    client.on('error', () => undefined);
    await client.connect();
  };
  const stop = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    client?.disconnect();
    const stopping = child;
    if (stopping === null) return;
    child = null;
    const gone = new Promise((resolve) => stopping.once('exit', resolve));
    stopping.kill(signal);
    await gone;
    rmSync(socket, { force: true });
  };

  await start();
  return {
    socket,
    get client() {
      if (client === null) throw new Error('not started');
      return client;
    },
    start,
    stop,
    end: async () => {
      await stop('SIGKILL');
      rmSync(dir, { recursive: true, force: true });
    },
  };
};

const listens = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
