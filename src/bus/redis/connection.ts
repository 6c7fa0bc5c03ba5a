import type { Cluster, Redis, RedisOptions } from 'ioredis';
import type { RedisBusConfig, RedisPlace } from '../../config/config.js';
import type { Fault } from '../../lib/fault.js';
import { withDeadline } from '../../lib/with-deadline.js';
import type { Credentials } from './credentials.js';
import { toFault, unavailable } from './errors.js';
import type { Script } from './script.js';

export type Argument = string | number | Buffer;

/**
 * Good until its first failure: nothing is queued, sent again or reconnected behind our back. Commands reject with
 * what ioredis throws, within `timeoutMs`; strings in answers are Buffers.
 */
export interface Connection {
  /** For messages: `redis://HOST:PORT` and the like. */
  readonly where: string;
  call(command: string, args: readonly Argument[]): Promise<unknown>;
  /** For commands without a key: at the node that has `key`. */
  callAt(key: string, command: string, args: readonly Argument[]): Promise<unknown>;
  run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown>;
  /** How often the server had to be sent a script's text: then what was sent behind the script came before it. */
  readonly texts: number;
  /** At once; commands under way reject, and `onLost` is not called. */
  close(): void;
}

export interface ConnectOptions {
  readonly config: Pick<RedisBusConfig, 'at' | 'username'>;
  readonly credentials: Credentials;
  /** Connecting, and each command. */
  readonly timeoutMs: number;
  readonly onLost: (fault: Fault) => void;
  /** Gives up connecting. */
  readonly signal?: AbortSignal;
}

type Clients = typeof import('./clients.js');
type ConnectionOptions = Omit<RedisOptions, 'replyMapping'>;

/** Faults: those of `toFault`. */
export const connect = async (options: ConnectOptions): Promise<Connection> => {
  const { config, timeoutMs, onLost, signal } = options;
  const where = placeText(config.at);
  // Loaded only by those who use it, so that a host without a fleet doesn't pay for it.
  const clients = await import('./clients.js');
  const client = makeClient(clients, options);
  let lastError: Error | null = null;
  let state: 'connecting' | 'open' | 'closed' = 'connecting';
  const why = (error: unknown): Fault => toFault(lastError ?? error, where);
  client.on('error', (error: Error) => {
    lastError = error;
  });
  const ended = new Promise<never>((_, reject) => {
    client.on('end', () => {
      const was = state;
      state = 'closed';
      const fault = why(new Error('the connection was closed'));
      reject(fault);
      if (was === 'open') onLost(fault);
    });
  });
  ended.catch(() => undefined);
  const close = (): void => {
    state = 'closed';
    client.disconnect();
  };
  const aborted = new Promise<never>((_, reject) => {
    const give = (): void => reject(unavailable(`${where}: connecting was given up`));
    if (signal?.aborted === true) give();
    signal?.addEventListener('abort', give, { once: true });
  });
  aborted.catch(() => undefined);
  try {
    const connecting = client.connect().then(
      () => true,
      (error: unknown) => {
        throw why(error);
      },
    );
    const done = await withDeadline(timeoutMs, Promise.race([connecting, ended, aborted]));
    if (done !== true) throw why(new Error(`no connection within ${timeoutMs} ms`));
    // A refused login is told beside the connection.
    if (lastError !== null) throw why(lastError);
  } catch (error) {
    close();
    throw error;
  }
  state = 'open';

  const call: Connection['call'] = (command, args) => client.callBuffer(command, [...args]);
  const send = async (command: string, args: readonly Argument[]): Promise<unknown> =>
    await client.sendCommand(new clients.BulkCommand(command, [...args], { replyEncoding: null }));
  let texts = 0;
  return {
    where,
    get texts() {
      return texts;
    },
    call,
    callAt: async (key, command, args) =>
      (await nodeOf(client, key)).callBuffer(command, [...args]),
    run: async ({ sha1, lua }, keys, args) => {
      const rest = [keys.length, ...keys, ...args];
      try {
        return await send('evalsha', [sha1, ...rest]);
      } catch (error) {
        // A server that restarted, or a new master, has not seen it yet.
        if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
        texts += 1;
        return await send('eval', [lua, ...rest]);
      }
    },
    close,
  };
};

const makeClient = ({ Cluster, Redis }: Clients, options: ConnectOptions): Redis | Cluster => {
  const { config, timeoutMs } = options;
  const shared = sharedOptions(options);
  if (config.at.kind !== 'cluster')
    return new Redis({ ...shared, ...placeOptions(config.at, options.credentials) });
  return new Cluster([...config.at.addresses], {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: () => null,
    slotsRefreshTimeout: timeoutMs,
    redisOptions: shared,
  });
};

const sharedOptions = ({ config, credentials, timeoutMs }: ConnectOptions): ConnectionOptions => ({
  lazyConnect: true,
  protocol: 2,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  retryStrategy: () => null,
  // A server that isn't ready says so itself (LOADING).
  enableReadyCheck: false,
  connectTimeout: timeoutMs,
  commandTimeout: timeoutMs,
  disableClientInfo: true,
  ...(credentials.tls !== null && { tls: credentials.tls }),
  ...(config.username !== null && { username: config.username }),
  ...(credentials.password !== null && { password: credentials.password }),
});

const placeOptions = (
  at: Exclude<RedisPlace, { kind: 'cluster' }>,
  { tls, sentinelPassword }: Credentials,
): ConnectionOptions => {
  switch (at.kind) {
    case 'single':
      return { host: at.host, port: at.port };
    case 'socket':
      return { path: at.path };
    case 'sentinel':
      return {
        name: at.name,
        sentinels: [...at.addresses],
        sentinelRetryStrategy: () => null,
        ...(tls !== null && { enableTLSForSentinelMode: true, sentinelTLS: tls }),
        ...(typeof at.username === 'string' && { sentinelUsername: at.username }),
        ...(sentinelPassword !== null && { sentinelPassword }),
      };
  }
};

const nodeOf = async (client: Redis | Cluster, key: string): Promise<Redis> => {
  if (!isCluster(client)) return client;
  const slot = Number(await client.call('CLUSTER', ['KEYSLOT', key]));
  const master = client.slots[slot]?.[0];
  const node = client
    .nodes('master')
    .find(({ options: { host, port } }) => `${host}:${port}` === master);
  if (node === undefined) throw unavailable(`no master of the cluster has the slot of ${key}`);
  return node;
};

const isCluster = (client: Redis | Cluster): client is Cluster => client.isCluster;

const placeText = (at: RedisPlace): string => {
  switch (at.kind) {
    case 'single':
      return `Redis at ${at.host}:${at.port}`;
    case 'socket':
      return `Redis at ${at.path}`;
    case 'sentinel':
      return `Redis ${at.name} of the Sentinels`;
    case 'cluster':
      return 'the Redis cluster';
  }
};
