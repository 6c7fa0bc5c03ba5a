import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { Redis } from 'ioredis';
import { endOf } from './serve.js';

export interface BenchRedis {
  readonly port: number;
  /** A new connection, over TCP as hosts have it. */
  connect(): Promise<Redis>;
  stop(): Promise<void>;
}

/** In memory alone, so that only the work itself is measured. */
export const startBenchRedis = async (program: string, dir: string): Promise<BenchRedis> => {
  mkdirSync(dir, { recursive: true });
  const port = await freePort();
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', dir];
  const child = spawn(program, args, { stdio: 'ignore' });
  const ended = endOf(child);
  const connect = async (): Promise<Redis> => {
    // The server may not listen yet.
    const client = new Redis({ port, protocol: 2, retryStrategy: (times) => times * 20 });
    client.on('error', () => undefined);
    await client.ping();
    return client;
  };
  (await connect()).disconnect();
  return {
    port,
    connect,
    stop: () => {
      child.kill('SIGKILL');
      return ended;
    },
  };
};

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
