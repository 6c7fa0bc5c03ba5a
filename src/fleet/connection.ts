import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { RedisClient } from './redis-script.js';

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

/** Where the fleet's Redis is, and how to get in. */
export interface RedisTarget {
  /** `redis://HOST:PORT`, `rediss://HOST:PORT` (TLS), or the absolute path of a unix socket. */
  readonly url?: string;
  /** In place of `url`: Sentinels that know the master by this name. */
  readonly sentinel?: { readonly name: string; readonly addresses: readonly RedisAddress[] };
  /** In place of `url`: nodes of a Cluster, one that answers is enough. */
  readonly cluster?: readonly RedisAddress[];
  readonly username?: string;
  readonly password?: string;
  /** PEM texts. With `rediss://` alone the system's certificates are trusted. */
  readonly tls?: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly servername?: string;
  };
  /** Each command and connecting may take so long. Default 5 s. */
  readonly timeoutMs?: number;
}

/** A connection that is good until its first failure; whoever uses it makes another one then. */
export interface FleetConnection {
  readonly client: RedisClient;
  /**
   * Waits until one of the streams has an entry behind `after`. Answers the keys that have; null: none
   * within `blockMs`, or it is not known.
   */
  readonly watch: (
    streams: readonly { readonly key: string; readonly after: string }[],
    blockMs: number,
  ) => Promise<ReadonlySet<string> | null>;
  /** At once; commands under way fail. */
  readonly close: () => void;
}

type ConnectionOptions = Omit<RedisOptions, 'replyMapping'>;

const DEFAULT_TIMEOUT_MS = 5000;
/** The longest that `watch` may block. */
export const MAX_BLOCK_MS = 2000;
/** A Cluster has no blocking wait over many slots; it is asked so often. */
const CLUSTER_POLL_MS = 50;

/** Throws what ioredis throws. */
export const connect = async (target: RedisTarget): Promise<FleetConnection> =>
  target.cluster === undefined ? connectOne(target) : connectCluster(target, target.cluster);

const connectOne = async (target: RedisTarget): Promise<FleetConnection> => {
  // Blocked commands hold up those behind them, so waiting has a connection of its own.
  const options = optionsOf(target);
  const client = new Redis(options);
  const waiter = new Redis({
    ...options,
    commandTimeout: MAX_BLOCK_MS + (target.timeoutMs ?? DEFAULT_TIMEOUT_MS),
  });
  const close = () => {
    client.disconnect();
    waiter.disconnect();
  };
  client.on('error', ignore);
  waiter.on('error', ignore);
  try {
    await Promise.all([client.connect(), waiter.connect()]);
  } catch (error) {
    close();
    throw error;
  }
  return {
    client,
    watch: async (streams, blockMs) => {
      const keys = streams.map(({ key }) => key);
      const ids = streams.map(({ after }) => after);
      const args = ['COUNT', 1, 'BLOCK', blockMs, 'STREAMS', ...keys, ...ids];
      const answer: unknown = await waiter.callBuffer('XREAD', args);
      if (!Array.isArray(answer)) return null;
      return new Set(answer.map((row: unknown) => String(Array.isArray(row) ? row[0] : row)));
    },
    close,
  };
};

const connectCluster = async (
  target: RedisTarget,
  nodes: readonly RedisAddress[],
): Promise<FleetConnection> => {
  const { path: _path, host: _host, port: _port, ...redisOptions } = optionsOf(target);
  const client = new Cluster([...nodes], {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: () => null,
    slotsRefreshTimeout: target.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    redisOptions,
  });
  client.on('error', ignore);
  try {
    await client.connect();
  } catch (error) {
    client.disconnect();
    throw error;
  }
  return {
    client,
    watch: async (_streams, blockMs) => {
      await sleep(Math.min(blockMs, CLUSTER_POLL_MS), undefined, { ref: false });
      return null;
    },
    close: () => client.disconnect(),
  };
};

const optionsOf = (target: RedisTarget): ConnectionOptions => {
  const timeoutMs = target.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const { url = 'redis://127.0.0.1:6379', sentinel, tls, username, password } = target;
  const secure = tls !== undefined || url.startsWith('rediss://') ? { tls: { ...tls } } : {};
  const where: ConnectionOptions =
    sentinel !== undefined
      ? {
          name: sentinel.name,
          sentinels: [...sentinel.addresses],
          sentinelRetryStrategy: () => null,
        }
      : url.startsWith('/')
        ? { path: url }
        : addressOf(url);
  return {
    lazyConnect: true,
    // Redis 6 on speak 3 too, but its maps read differently.
    protocol: 2,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    disableClientInfo: true,
    ...where,
    ...secure,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
  };
};

const addressOf = (url: string): ConnectionOptions => {
  const { hostname, port, username, password, pathname } = new URL(url);
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? 6379 : Number(port),
    ...(pathname.length > 1 ? { db: Number(pathname.slice(1)) } : {}),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
  };
};

/** What fails rejects the command under way; the event says nothing more. */
const ignore = (): void => undefined;
