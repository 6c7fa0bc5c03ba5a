import { afterEach, beforeEach } from 'vitest';
import type { ConsumeOptions, Delivery, Fleet, FleetItem } from '../../src/fleet/fleet.js';
import { openFleet } from '../../src/fleet/open-fleet.js';
import { waitFor } from '../support/wait-for.js';
import { createPublisher, FLEET, type TestPublisher } from './publisher.js';
import { type RedisServer, startRedis } from './redis-server.js';

export interface FleetRig {
  readonly redis: RedisServer;
  readonly publisher: TestPublisher;
  readonly fleet: () => Fleet;
  /** A consumer `c` of the group `g` that is taken over after a second, unless told otherwise. */
  readonly consume: (options?: Partial<ConsumeOptions>) => AsyncIterableIterator<FleetItem>;
}

/** A Redis, a fleet in it and consumers of it, anew for each test; ended behind it. */
export const useFleetRig = (): FleetRig => {
  let redis: RedisServer;
  let publisher: TestPublisher;
  let fleets: Fleet[] = [];

  beforeEach(async () => {
    redis = await startRedis();
    publisher = createPublisher(() => redis.client);
    await publisher.open();
    fleets = [];
  });
  afterEach(async () => {
    await Promise.all(fleets.map((fleet) => fleet.close()));
    await redis.end();
  });

  const fleet = (): Fleet => {
    const made = openFleet({ url: redis.socket, fleet: FLEET });
    fleets.push(made);
    return made;
  };
  return {
    get redis() {
      return redis;
    },
    get publisher() {
      return publisher;
    },
    fleet,
    consume: (options = {}) =>
      fleet().consume({ group: 'g', consumer: 'c', takeoverAfterMs: 1000, ...options }),
  };
};

/** Numbers from `first` to `last`. */
export const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

export const sequencesOf = (items: readonly FleetItem[], host: string): number[] =>
  items.flatMap((item) => (item.kind === 'record' && item.host === host ? [item.sequence] : []));

/** Items up to `count`, acked as they come, and a `break` behind the last. */
export const take = async (
  items: AsyncIterable<FleetItem>,
  count: number,
): Promise<FleetItem[]> => {
  const seen: FleetItem[] = [];
  for await (const item of items) {
    seen.push(item);
    if (item.kind === 'record') await item.ack();
    if (seen.length === count) break;
  }
  return seen;
};

/** The next item, which must be a record; nothing is acked. */
export const nextRecord = async (items: AsyncIterator<FleetItem>): Promise<Delivery> => {
  const { value } = await items.next();
  if (value?.kind !== 'record') throw new Error(`expected a record, got ${JSON.stringify(value)}`);
  return value;
};

export interface Running {
  readonly items: readonly FleetItem[];
  readonly acked: readonly FleetItem[];
  readonly holds: (
    what: string,
    condition: (items: readonly FleetItem[]) => boolean,
  ) => Promise<void>;
  readonly ended: Promise<void>;
}

/** Consumes in the background and acks, each when `handle` has resolved. */
export const run = (
  items: AsyncIterable<FleetItem>,
  handle: (item: FleetItem) => Promise<void> = () => Promise.resolve(),
): Running => {
  const seen: FleetItem[] = [];
  const acked: FleetItem[] = [];
  const ended = (async () => {
    for await (const item of items) {
      seen.push(item);
      await handle(item);
      if (item.kind !== 'record') continue;
      await item.ack();
      acked.push(item);
    }
  })();
  ended.catch(() => undefined);
  return {
    items: seen,
    acked,
    holds: (what, condition) => waitFor(what, () => condition(seen), 20_000),
    ended,
  };
};
