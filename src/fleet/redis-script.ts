import { createHash } from 'node:crypto';
import type { Cluster, Redis } from 'ioredis';

export type RedisClient = Redis | Cluster;

/** Runs on the server in one step; all its keys are in one slot. */
export interface RedisScript {
  readonly lua: string;
  readonly sha1: string;
}

export const redisScript = (lua: string): RedisScript => ({
  lua,
  sha1: createHash('sha1').update(lua).digest('hex'),
});

export type RedisArgument = string | number | Buffer;

/** Answers strings as Buffers, numbers as numbers, in the script's own nesting. */
export const runScript = async (
  client: RedisClient,
  script: RedisScript,
  keys: readonly string[],
  args: readonly RedisArgument[],
): Promise<unknown> => {
  const rest: RedisArgument[] = [keys.length, ...keys, ...args];
  try {
    return await client.callBuffer('EVALSHA', [script.sha1, ...rest]);
  } catch (error) {
    // A server that restarted, or a new master, has not seen it yet.
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
    return await client.callBuffer('EVAL', [script.lua, ...rest]);
  }
};
