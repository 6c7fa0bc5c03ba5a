import type { RedisAddress, RedisPlace } from './config.js';

export interface RedisUrl {
  readonly at: Extract<RedisPlace, { kind: 'single' | 'socket' }>;
  /** `rediss`: TLS. */
  readonly secure: boolean;
}

export const REDIS_URL_EXPECTED =
  'redis://HOST:PORT, rediss://HOST:PORT (TLS) or the absolute path of a unix socket; without a database number, since it is always database 0; user and password go to bus.username and bus.passwordFile';

/** null: something else. The port is 6379 unless said. */
export const parseRedisUrl = (text: string): RedisUrl | null => {
  if (/^\/[^\0]+$/.test(text)) return { at: { kind: 'socket', path: text }, secure: false };
  const match = /^(rediss?):\/\/([^/@?#]+)\/?$/.exec(text);
  const address = match?.[2] === undefined ? null : parseRedisAddress(match[2], 6379);
  return address === null
    ? null
    : { at: { kind: 'single', ...address }, secure: match?.[1] === 'rediss' };
};

/** `HOST:PORT`; an IPv6 address stands in brackets. null: something else. */
export const parseRedisAddress = (text: string, defaultPort?: number): RedisAddress | null => {
  const match = /^(?:\[([0-9a-fA-F:.]{2,45})\]|([a-zA-Z0-9._-]{1,253}))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (host === undefined || port === undefined || port < 1 || port > 65_535) return null;
  return { host, port };
};
