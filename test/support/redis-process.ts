import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { partPath } from './parts.js';
import { waitFor } from './wait-for.js';

/** A real redis-server of a test's own, on a port of 127.0.0.1 and a directory that outlives a stop. */
export interface RedisProcess {
  readonly port: number;
  readonly dir: string;
  /** A connection for the test's own questions, made anew after each `start`. */
  readonly client: Redis;
  /** With other arguments from here on; absent: with those before. */
  start(args?: readonly string[]): Promise<void>;
  /** Makes `client` anew: who promotes a replica cuts all connections to it. */
  reconnect(): Promise<void>;
  /** Resolves when it is gone. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Stops it from running, and lets it run again. */
  freeze(): void;
  thaw(): void;
  /** Stops it and removes its directory. */
  end(): Promise<void>;
}

export interface RedisProcessOptions {
  readonly args?: readonly string[];
  /** Also listens with TLS here; `port` is that one then, and the test's own connection uses it too. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly password?: string;
}

/** Everything in memory; `KEEPING` writes it down. */
export const startRedisProcess = async (
  options: RedisProcessOptions = {},
): Promise<RedisProcess> => {
  const dir = mkdtempSync(join(tmpdir(), 'vmwarden-redis-'));
  let port = await freePort();
  let extra = options.args ?? [];
  let child: ChildProcess | null = null;
  let client: Redis | null = null;

  const connection = (): Redis => {
    const made = new Redis({
      port,
      host: '127.0.0.1',
      lazyConnect: true,
      protocol: 2,
      retryStrategy: () => null,
      ...(options.tls !== undefined && {
        tls: { rejectUnauthorized: false, ...readTls(options.tls) },
      }),
      ...(options.password !== undefined && { password: options.password }),
    });
    made.on('error', () => undefined);
    return made;
  };
  const run = async (): Promise<boolean> => {
    const listen = options.tls === undefined ? ['--port', `${port}`] : tlsArgs(port, options.tls);
    const base = ['--bind', '127.0.0.1', '--dir', dir, '--save', '', '--loglevel', 'warning'];
    // A replica gets its copy at once.
    base.push('--repl-diskless-sync-delay', '0');
    const started = spawn(partPath('redis-server'), [...base, ...listen, ...extra], {
      stdio: 'ignore',
    });
    child = started;
    const asking = connection();
    client = asking;
    await waitFor('redis-server answers', async () => {
      if (started.exitCode !== null) return true;
      return await asking.connect().then(
        () => true,
        () => false,
      );
    });
    return started.exitCode === null;
  };
  const stop = async (signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> => {
    client?.disconnect();
    const stopping = child;
    child = null;
    if (stopping === null || stopping.exitCode !== null) return;
    const gone = new Promise((resolve) => stopping.once('exit', resolve));
    stopping.kill('SIGCONT');
    stopping.kill(signal);
    await gone;
  };

  // Between finding a port and listening on it somebody else may have taken it.
  for (let attempt = 0; !(await run()); attempt += 1) {
    if (attempt === 5) throw new Error('redis-server does not start');
    port = await freePort();
  }
  return {
    get port() {
      return port;
    },
    dir,
    get client() {
      if (client === null) throw new Error('not started');
      return client;
    },
    start: async (args) => {
      extra = args ?? extra;
      if (!(await run())) throw new Error('redis-server does not start again');
    },
    reconnect: async () => {
      client?.disconnect();
      client = connection();
      await client.connect();
    },
    stop,
    freeze: () => child?.kill('SIGSTOP'),
    thaw: () => child?.kill('SIGCONT'),
    end: async () => {
      await stop('SIGKILL');
      rmSync(dir, { recursive: true, force: true });
    },
  };
};

/** What Redis confirmed is there after a kill. */
export const KEEPING = ['--appendonly', 'yes', '--appendfsync', 'always'] as const;

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      // A Cluster's bus has the port 10,000 above.
      if (port > 55_000) server.close(() => resolve(freePort()));
      else server.close(() => resolve(port));
    });
  });

const tlsArgs = (
  port: number,
  { ca, cert, key }: NonNullable<RedisProcessOptions['tls']>,
): string[] => [
  ...['--port', '0', '--tls-port', `${port}`, '--tls-auth-clients', 'yes'],
  ...['--tls-ca-cert-file', ca, '--tls-cert-file', cert, '--tls-key-file', key],
];

const readTls = ({ ca, cert, key }: NonNullable<RedisProcessOptions['tls']>) => ({
  ca: readFileSync(ca),
  cert: readFileSync(cert),
  key: readFileSync(key),
});
