import { auditHosts } from './audit-hosts.js';
import { badInput } from './bad-input.js';
import { connect, type FleetConnection } from './connection.js';
import { GroupConsumer } from './consume.js';
import { consumeSettings } from './consume-settings.js';
import { filterProblems } from './filter-problems.js';
import type { ConsumeOptions, Fleet, FleetItem } from './fleet.js';
import { follow } from './follow.js';
import type { RedisTarget } from './redis-target.js';
import { surveyHosts } from './survey-hosts.js';

/** Connects when something is asked for, not before. */
export const createFleet = (fleet: string, target: RedisTarget): Fleet => {
  const consumers = new Map<GroupConsumer, Promise<void>>();
  const closing = new AbortController();

  const consume = (options: ConsumeOptions): AsyncIterableIterator<FleetItem> => {
    const settings = consumeSettings(options);
    if (settings.minReplicas > 0 && target.at.kind === 'cluster') {
      throw badInput([
        {
          field: 'minReplicas',
          value: String(settings.minReplicas),
          expected: '0 with a Cluster, whose nodes have no common order of writes to wait for',
        },
      ]);
    }
    const consumer = new GroupConsumer(target, fleet, settings);
    const { signal } = options;
    const stop = () => consumer.stop();
    let running: Promise<void> | null = null;
    const start = () => {
      if (running !== null) return;
      if (closing.signal.aborted || signal?.aborted) consumer.stop();
      signal?.addEventListener('abort', stop, { once: true });
      running = consumer.run().finally(() => {
        signal?.removeEventListener('abort', stop);
        consumers.delete(consumer);
      });
      consumers.set(consumer, running);
    };
    const ended = async (): Promise<IteratorReturnResult<undefined>> => {
      consumer.stop();
      await running;
      return { done: true, value: undefined };
    };
    // One after the other, however many are asked for at once.
    let last: Promise<unknown> = Promise.resolve();
    const next = async (): Promise<IteratorResult<FleetItem, undefined>> => {
      start();
      try {
        const value = await consumer.next();
        return value === null ? await ended() : { done: false, value };
      } catch (error) {
        await ended();
        throw error;
      }
    };
    const iterator: AsyncIterableIterator<FleetItem> = {
      next: () => {
        const result = last.then(next, next);
        last = result;
        return result;
      },
      return: ended,
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  };

  const once = async <T>(ask: (connection: FleetConnection) => Promise<T>): Promise<T> => {
    let connection: FleetConnection | null = null;
    try {
      connection = await connect(target);
      return await ask(connection);
    } finally {
      connection?.close();
    }
  };

  return {
    consume,
    follow: (options = {}) => {
      const violations = filterProblems(options.filter ?? {});
      if (violations.length > 0) throw badInput(violations);
      const signals = [closing.signal, ...(options.signal === undefined ? [] : [options.signal])];
      return follow(target, fleet, options, AbortSignal.any(signals));
    },
    hosts: () => once((connection) => surveyHosts(connection, fleet)),
    audit: ({ signal } = {}) => once((connection) => auditHosts(connection, fleet, signal)),
    close: async () => {
      closing.abort();
      for (const consumer of consumers.keys()) consumer.stop();
      await Promise.all(consumers.values());
    },
  };
};
