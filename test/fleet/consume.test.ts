import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ConsumeOptions, Delivery, Fleet, FleetItem } from '../../src/fleet/fleet.js';
import { openFleet } from '../../src/fleet/open-fleet.js';
import { describePart } from '../support/parts.js';
import { createPublisher, FLEET, type TestPublisher } from './publisher.js';
import { type RedisServer, startRedis } from './redis-server.js';

describePart('redis-server', 'a group of consumers', () => {
  let redis: RedisServer;
  let publisher: TestPublisher;
  let fleets: Fleet[];

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

  const fleetOf = (): Fleet => {
    const fleet = openFleet({ url: redis.socket, fleet: FLEET });
    fleets.push(fleet);
    return fleet;
  };
  const consume = (options: Partial<ConsumeOptions> = {}): AsyncIterableIterator<FleetItem> =>
    fleetOf().consume({ group: 'g', consumer: 'c', takeoverAfterMs: 1000, ...options });

  it('is handed every record of every host, in order per host', async () => {
    await publisher.publish('alpha', 1, 50);
    await publisher.publish('beta', 1, 50);
    const seen = await take(consume(), 100);
    expect(sequencesOf(seen, 'alpha')).toEqual(upTo(50));
    expect(sequencesOf(seen, 'beta')).toEqual(upTo(50));
  });
});

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);

const sequencesOf = (items: readonly FleetItem[], host: string): number[] =>
  items.flatMap((item) => (item.kind === 'record' && item.host === host ? [item.sequence] : []));

/** Acks as it goes. */
const take = async (items: AsyncIterable<FleetItem>, count: number): Promise<FleetItem[]> => {
  const seen: FleetItem[] = [];
  for await (const item of items) {
    seen.push(item);
    if (item.kind === 'record') await item.ack();
    if (seen.length === count) break;
  }
  return seen;
};

export type { Delivery };
