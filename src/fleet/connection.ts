import { setTimeout as sleep } from 'node:timers/promises';
import { type Argument, connect as connectRedis } from '../bus/redis/connection.js';
import { readCredentials } from '../bus/redis/credentials.js';
import { toFault } from '../bus/redis/errors.js';
import type { Script } from '../bus/redis/script.js';
import type { RedisTarget } from './redis-target.js';

/**
 * Good until its first failure; whoever uses it makes another one then. Everything is bounded in time and rejects with
 * Faults, those of the bus; strings in answers are Buffers.
 */
export interface FleetConnection {
  readonly call: (command: string, args: readonly Argument[]) => Promise<unknown>;
  readonly run: (
    script: Script,
    keys: readonly string[],
    args: readonly Argument[],
  ) => Promise<unknown>;
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

/** Connecting, and each command. */
const TIMEOUT_MS = 5000;
/** The longest that `watch` may block. */
export const MAX_BLOCK_MS = 2000;
/** A Cluster has no blocking wait over many slots; it is asked so often. */
const CLUSTER_POLL_MS = 50;

/** Reads password and certificates anew each time, so that changed ones are taken up. */
export const connect = async (target: RedisTarget): Promise<FleetConnection> => {
  const read = await readCredentials(target);
  const credentials = { ...read, password: target.password ?? read.password };
  const open = (timeoutMs: number) =>
    // Whoever waits for nothing hears of a lost connection at the next command, which is never far.
    connectRedis({ config: target, credentials, timeoutMs, onLost: () => undefined });
  const isCluster = target.at.kind === 'cluster';
  const client = await open(TIMEOUT_MS);
  // Blocked commands hold up those behind them, so waiting has a connection of its own.
  const waiter = isCluster
    ? null
    : await open(TIMEOUT_MS + MAX_BLOCK_MS).catch((error: unknown) => {
        client.close();
        throw error;
      });
  const translated = <T>(answer: Promise<T>): Promise<T> =>
    answer.catch((error: unknown) => {
      throw toFault(error, client.where);
    });
  return {
    call: (command, args) => translated(client.call(command, args)),
    run: (script, keys, args) => translated(client.run(script, keys, args)),
    watch: async (streams, blockMs) => {
      if (waiter === null) {
        await sleep(Math.min(blockMs, CLUSTER_POLL_MS), undefined, { ref: false });
        return null;
      }
      const keys = streams.map(({ key }) => key);
      const ids = streams.map(({ after }) => after);
      const args = ['COUNT', 1, 'BLOCK', blockMs, 'STREAMS', ...keys, ...ids];
      const answer = await translated(waiter.call('XREAD', args));
      if (!Array.isArray(answer)) return null;
      return new Set(answer.map((row: unknown) => String(Array.isArray(row) ? row[0] : row)));
    },
    close: () => {
      client.close();
      waiter?.close();
    },
  };
};
