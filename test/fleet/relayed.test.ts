import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ConsumeOptions, Delivery, Fleet, FleetItem } from '../../src/fleet/fleet.js';
import { openFleet } from '../../src/fleet/open-fleet.js';
import { describePart } from '../support/parts.js';
import { busConfig, FLEET, redisBus } from '../support/redis-bus-rig.js';
import { type RedisPair, startRedisPair } from '../support/redis-pair.js';
import { KEEPING } from '../support/redis-process.js';
import { type RelayRig, startRelayRig } from '../support/relay-rig.js';
import { waitFor } from '../support/wait-for.js';
import { encodeRecord } from './publisher.js';
import { range } from './rig.js';

const ROUNDS = Number(process.env['VMWARDEN_BUS_ROUNDS'] ?? 12);
const SEED = Number(process.env['VMWARDEN_BUS_SEED'] ?? Date.now() % 1_000_000);
const HOSTS = ['alpha', 'beta', 'gamma'];

describePart('redis-server', 'consumers of what real hosts relay', () => {
  let pair: RedisPair;
  let hosts: RelayRig[];
  let fleets: Fleet[];
  let ledger: Ledger;

  beforeEach(async () => {
    pair = await startRedisPair();
    const config = busConfig(pair.front.port);
    hosts = HOSTS.map((host) =>
      startRelayRig({ host, bus: (id) => redisBus(config, host, id, { timeoutMs: 400 }) }),
    );
    fleets = [];
    ledger = new Ledger();
  });
  afterEach(async () => {
    await Promise.all(fleets.map((fleet) => fleet.close()));
    await Promise.all(hosts.map((host) => host.stop(0)));
    await pair.end();
  });

  const append = async ({ journal }: RelayRig, count: number): Promise<void> => {
    const records = range(1, count).map(() => ({ vm: '', bytes: encodeRecord('vm') }));
    await journal.append({ kind: 'ingest', records, rows: [] }).durable;
  };
  const appendToAll = (count: number) => Promise.all(hosts.map((host) => append(host, count)));

  /** Acks what it is handed, now and then out of order; what it did is in the ledger. */
  const consume = (options: Partial<ConsumeOptions> = {}) => {
    const fleet = openFleet({ url: `redis://127.0.0.1:${pair.front.port}`, fleet: FLEET });
    fleets.push(fleet);
    const items = fleet.consume({ group: 'g', consumer: 'c', takeoverAfterMs: 1500, ...options });
    const ended = (async () => {
      const held: Delivery[] = [];
      for await (const item of items) {
        ledger.handed(item);
        if (item.kind !== 'record') continue;
        held.push(item);
        if (item.sequence % 3 === 0 && held.length < 8) continue;
        for (const delivery of held.splice(0).reverse()) ledger.acking(delivery);
      }
    })();
    ended.catch((error: unknown) => ledger.problems.push(String(error)));
    return { fleet, ended };
  };

  const allAcked = () =>
    waitFor(
      `all is acked, ${hosts.map((host) => `${host.host} ${ledger.settled(host.host)}/${host.journal.status().newest}`)}`,
      async () => {
        // The last that are held come out with those behind them.
        await appendToAll(1);
        return hosts.every(
          ({ host, journal }) => ledger.settled(host) >= journal.status().newest - 30,
        );
      },
      60_000,
    );

  const FAULTS = [
    async () => {
      await pair.synced();
      pair.link.stall('server');
      await appendToAll(60);
      await waitFor('it is relayed, and not copied', () =>
        hosts.every(({ relay }) => relay.status().lag === 0),
      );
      await pair.failOver();
    },
    async () => {
      await pair.master.stop('SIGKILL');
      await appendToAll(20);
      await pair.master.start(KEEPING);
    },
    async () => {
      await pair.master.client.flushall();
      await appendToAll(20);
    },
    async () => {
      pair.front.cut();
      await appendToAll(20);
      pair.front.mend();
    },
  ];

  it('one handles every record once, whatever happens to Redis', { timeout: 240_000 }, async () => {
    consume();
    await appendToAll(50);
    await allAcked();
    const random = seeded(SEED);
    for (let round = 1; round <= ROUNDS; round += 1) {
      const fault = FAULTS[Math.floor(random() * FAULTS.length)];
      await fault?.();
      await appendToAll(10);
      await allAcked();
      expect(ledger.problems, `seed ${SEED}, round ${round}`).toEqual([]);
    }
    for (const { host, journal } of hosts) {
      const handed = ledger.firstHanded(host);
      expect(handed, `seed ${SEED}, ${host}`).toEqual(range(1, handed.length));
      expect(handed.length).toBeGreaterThan(journal.status().newest - 60);
    }
  });

  it('a group whose acks wait for a replica is handed none again, though its consumers and masters change', {
    timeout: 120_000,
  }, async () => {
    await pair.synced();
    let running = consume({ minReplicas: 1, consumer: 'first' });
    for (let round = 1; round <= 4; round += 1) {
      await appendToAll(40);
      await allAcked();
      pair.link.stall('server');
      await appendToAll(40);
      await waitFor('some are handed out and can not be acked', () => ledger.waiting >= 20);
      const next = consume({ minReplicas: 1, consumer: `round-${round}` });
      await pair.failOver();
      await running.fleet.close();
      running = next;
      await allAcked();
      expect(ledger.problems, `round ${round}`).toEqual([]);
    }
  });
});

/** What a group was handed and what of it was acked, checked as it happens. */
class Ledger {
  readonly problems: string[] = [];
  readonly #acked = new Map<string, Set<number>>();
  readonly #handed = new Map<string, Set<number>>();
  waiting = 0;

  handed(item: FleetItem): void {
    if (item.kind !== 'record') {
      this.problems.push(`a ${item.kind}: ${JSON.stringify(item)}`);
      return;
    }
    const { host, sequence } = item;
    if (this.#of(this.#acked, host).has(sequence)) {
      this.problems.push(`${host} ${sequence} was acked and is handed out again`);
    }
    const before = this.#of(this.#handed, host);
    if (!before.has(sequence) && sequence <= Math.max(0, ...before)) {
      this.problems.push(`${host} ${sequence} comes late`);
    }
    before.add(sequence);
  }

  acking(delivery: Delivery): void {
    this.waiting += 1;
    delivery.ack().then(
      () => {
        this.waiting -= 1;
        this.#of(this.#acked, delivery.host).add(delivery.sequence);
      },
      (error: unknown) => {
        this.waiting -= 1;
        if (!/FLEET_(CLOSED|LOST|ACK_UNSURE)/.test((error as { reason?: string }).reason ?? '')) {
          this.problems.push(String(error));
        }
      },
    );
  }

  firstHanded(host: string): number[] {
    return [...this.#of(this.#handed, host)];
  }

  /** How many are acked from the first on, without one missing. */
  settled(host: string): number {
    const acked = this.#of(this.#acked, host);
    let through = 0;
    while (acked.has(through + 1)) through += 1;
    return through;
  }

  #of(map: Map<string, Set<number>>, host: string): Set<number> {
    const found = map.get(host) ?? new Set<number>();
    map.set(host, found);
    return found;
  }
}

/** mulberry32: the same rounds for the same seed. */
const seeded = (seed: number) => {
  let state = seed;
  return (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};
