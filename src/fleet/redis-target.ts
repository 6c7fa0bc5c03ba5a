import type { RedisAddress, RedisBusConfig, RedisPlace } from '../config/config.js';
import type { Violation } from '../lib/fault.js';
import { badInput } from './bad-input.js';

/** Where the fleet's Redis is, and how to get in; as the hosts' `bus` says it. */
export interface RedisOptions {
  /**
   * `redis://HOST:PORT`, `rediss://HOST:PORT` (TLS), both with `USER:PASSWORD@` if need be, or the absolute path
   * of a unix socket. Default `redis://127.0.0.1:6379`.
   */
  readonly url?: string;
  /** In place of `url`: Sentinels, and the name that they know the master by. */
  readonly sentinel?: {
    readonly name: string;
    readonly addresses: readonly RedisAddress[];
    /** For the Sentinels themselves, when they want a user and password of their own. */
    readonly username?: string;
    readonly passwordFile?: string;
  };
  /** In place of `url`: nodes of a Cluster; one that answers is enough. */
  readonly cluster?: readonly RedisAddress[];
  readonly username?: string;
  readonly password?: string;
  /** Read at every connect; one newline at its end is no part of it. */
  readonly passwordFile?: string;
  /** PEM files, read at every connect. Without `ca` the system's certificates are trusted. */
  readonly tls?: {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    /** The name in the server's certificate, when it isn't the address. */
    readonly serverName?: string;
  };
}

export type RedisTarget = Pick<RedisBusConfig, 'at' | 'username' | 'passwordFile' | 'tls'> & {
  readonly password: string | null;
};

/** Throws FLEET_BAD_INPUT. */
export const redisTarget = (options: RedisOptions): RedisTarget => {
  const { url = 'redis://127.0.0.1:6379', sentinel, cluster } = options;
  const given = [options.url, sentinel, cluster].filter((one) => one !== undefined);
  if (given.length > 1) {
    throw badInput([
      { field: 'url, sentinel, cluster', value: 'more than one of them', expected: 'one of them' },
    ]);
  }
  if ((cluster ?? sentinel?.addresses)?.length === 0) {
    const field = cluster === undefined ? 'sentinel.addresses' : 'cluster';
    throw badInput([{ field, value: '[]', expected: 'at least one address' }]);
  }
  const parsed = sentinel === undefined && cluster === undefined ? parseUrl(url) : null;
  const at: RedisPlace =
    sentinel !== undefined
      ? { kind: 'sentinel', ...sentinel }
      : cluster !== undefined
        ? { kind: 'cluster', addresses: cluster }
        : (parsed?.at ?? { kind: 'socket', path: url });
  const { ca = null, cert = null, key = null, serverName = null } = options.tls ?? {};
  const hasTls = options.tls !== undefined || parsed?.secure === true;
  return {
    at,
    tls: hasTls ? { ca, cert, key, serverName } : null,
    username: options.username ?? parsed?.username ?? null,
    password: options.password ?? parsed?.password ?? null,
    passwordFile: options.passwordFile ?? null,
  };
};

interface ParsedUrl {
  readonly at: RedisPlace;
  readonly secure: boolean;
  readonly username: string | null;
  readonly password: string | null;
}

const parseUrl = (text: string): ParsedUrl => {
  if (text.startsWith('/')) {
    return { at: { kind: 'socket', path: text }, secure: false, username: null, password: null };
  }
  const url = URL.canParse(text) && isEncoded(text) ? new URL(text) : null;
  if (url === null || !/^rediss?:$/.test(url.protocol) || url.hostname === '' || hasPath(url)) {
    throw badInput([urlProblem(text)]);
  }
  const { protocol, hostname, port, username, password } = url;
  return {
    at: {
      kind: 'single',
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? 6379 : Number(port),
    },
    secure: protocol === 'rediss:',
    username: username === '' ? null : decodeURIComponent(username),
    password: password === '' ? null : decodeURIComponent(password),
  };
};

/** Every % begins the code of a character. */
const isEncoded = (text: string): boolean => {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
};

const hasPath = ({ pathname }: URL): boolean => pathname !== '' && pathname !== '/';

const urlProblem = (text: string): Violation => ({
  field: 'url',
  // It may hold a password.
  value: text.replace(/\/\/.*@/, '//...@').slice(0, 200),
  expected:
    'redis://HOST:PORT, rediss://HOST:PORT or the absolute path of a socket; without a database number, since it is always database 0',
});
