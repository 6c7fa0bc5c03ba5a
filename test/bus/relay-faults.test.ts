import { afterEach, beforeEach, expect, it } from 'vitest';
import { describePart } from '../support/parts.js';
import { busConfig, FLEET, redisBus } from '../support/redis-bus-rig.js';
import { type RedisPair, startRedisPair } from '../support/redis-pair.js';
import { KEEPING } from '../support/redis-process.js';
import { coveredBy, type RelayRig, startRelayRig } from '../support/relay-rig.js';
import { checkHost, readStreams } from '../support/stream-checker.js';
import { waitFor } from '../support/wait-for.js';

/** Of random faults, one after the other over the same Redis and hosts. */
const ROUNDS = Number(process.env['VMWARDEN_BUS_ROUNDS'] ?? 12);
const SEED = Number(process.env['VMWARDEN_BUS_SEED'] ?? Date.now() % 1_000_000);
interface Fault {
  readonly name: string;
  /** Records are appended all the while. */
  readonly happen: (pair: RedisPair, rigs: RelayRig[]) => Promise<void>;
}

const HOSTS = ['one', 'two'];
const TIMEOUT_MS = 400;
/** Who was killed may be back after this; until then another journal of its name could be a twin. */
const SILENT_MS = 1_000;

const startHost = (pair: RedisPair, host: string): RelayRig =>
  startRelayRig({
    host,
    bus: (journalId) =>
      redisBus(busConfig(pair.front.port), host, journalId, {
        timeoutMs: TIMEOUT_MS,
        silentMs: SILENT_MS,
      }),
  });

/** So many more records are durable than at the call. */
const flow = async ({ journal }: RelayRig, records: number): Promise<void> => {
  const goal = journal.status().newest + records;
  await new Promise<void>((resolve) => {
    const unlisten = journal.onDurable((newest) => {
      if (newest < goal) return;
      unlisten();
      resolve();
    });
  });
};
const first = (rigs: readonly RelayRig[]): RelayRig => {
  if (rigs[0] === undefined) throw new Error('there is no host');
  return rigs[0];
};

const FAULTS: readonly Fault[] = [
  {
    name: 'kill -9 of the master while its replica lags',
    happen: async (pair, rigs) => {
      await pair.synced();
      pair.link.stall('server');
      await flow(first(rigs), 400);
      await pair.failOver();
    },
  },
  {
    name: 'kill -9 of a Redis that keeps everything',
    happen: async (pair, rigs) => {
      await pair.master.stop('SIGKILL');
      await flow(first(rigs), 100);
      await pair.master.start(KEEPING);
    },
  },
  {
    name: 'restart of a Redis that keeps nothing',
    happen: async (pair) => {
      await pair.master.stop('SIGTERM');
      await pair.master.start([]);
      await pair.master.client.config('SET', 'appendonly', 'yes');
    },
  },
  {
    name: 'cut connections',
    happen: async (pair, rigs) => {
      pair.front.cut();
      await flow(first(rigs), 200);
      pair.front.mend();
    },
  },
  {
    name: 'answers that never come',
    happen: async (pair, rigs) => {
      pair.front.stall('server');
      await flow(first(rigs), 600);
      pair.front.cut();
      pair.front.mend();
    },
  },
  {
    name: 'requests that never arrive',
    happen: async (pair, rigs) => {
      pair.front.stall('client');
      await flow(first(rigs), 600);
      pair.front.mend();
    },
  },
  {
    name: 'a slow line',
    happen: async (pair, rigs) => {
      pair.front.slow(200_000);
      await flow(first(rigs), 800);
      pair.front.mend();
    },
  },
  {
    name: 'a server that hangs',
    happen: async (pair, rigs) => {
      pair.master.freeze();
      await flow(first(rigs), 800);
      pair.master.thaw();
    },
  },
  {
    name: 'CLIENT KILL',
    happen: async (pair, rigs) => {
      for (let turn = 0; turn < 5; turn += 1) {
        await pair.master.client.call('CLIENT', ['KILL', 'TYPE', 'normal', 'SKIPME', 'yes']);
        await flow(first(rigs), 50);
      }
    },
  },
  {
    name: 'a master that is made a replica',
    happen: async (pair, rigs) => {
      await pair.synced();
      await pair.replica.client.replicaof('NO', 'ONE');
      await pair.master.client.replicaof('127.0.0.1', pair.replica.port);
      await flow(first(rigs), 100);
      await pair.failOver();
    },
  },
  {
    name: 'FLUSHALL',
    happen: async (pair, rigs) => {
      await pair.master.client.flushall();
      await flow(first(rigs), 100);
    },
  },
  {
    name: 'FLUSHALL after the journal was trimmed',
    happen: async (pair, rigs) => {
      await first(rigs).caughtUp();
      for (const { journal } of rigs) await journal.trim(journal.status().newest - 50);
      await pair.master.client.flushall();
      await flow(first(rigs), 100);
    },
  },
  {
    name: 'a data directory that is wiped',
    happen: async (pair, rigs) => {
      const old = first(rigs);
      await old.caughtUp();
      await old.stop();
      rigs[0] = startHost(pair, old.host);
      await rigs[0].append(100);
      // What the old journal had published stays, in order and once.
      await rigs[0].caughtUp();
      const kept = await old.expectation();
      const entries = await readStreams(pair.master.client, FLEET);
      const upTo = old.relay.status().published ?? 0;
      const records = new Map([...kept.records].filter(([sequence]) => sequence <= upTo));
      expect(checkHost(entries, { ...kept, records, coveredBy }), 'the old journal').toEqual([]);
    },
  },
  {
    name: 'two hosts with one name',
    happen: async (pair, rigs) => {
      const { host, relay, journal } = first(rigs);
      const twin = startHost(pair, host);
      await twin.append(10);
      for (const one of [twin.relay, relay]) {
        await waitFor('both say so', () => one.status().fault?.reason === 'BUS_TWIN', SOON_MS);
      }
      const entries = await readStreams(pair.master.client, FLEET);
      expect(entries.filter(({ journalId }) => journalId === twin.journal.id)).toEqual([]);
      expect(journal.status().newest).toBeGreaterThan(0);
      await twin.stop(0);
    },
  },
];

const SOON_MS = 30_000;

describePart('redis-server', `faults of Redis (VMWARDEN_BUS_SEED=${SEED})`, () => {
  let pair: RedisPair;
  let rigs: RelayRig[] = [];
  beforeEach(async () => {
    pair = await startRedisPair();
    rigs = HOSTS.map((host) => startHost(pair, host));
  });
  afterEach(async () => {
    await Promise.all(rigs.map((rig) => rig.stop(0)));
    await pair.end();
  });

  const suffer = async ({ name, happen }: Fault): Promise<void> => {
    const stops = rigs.map((rig) => rig.keepAppending());
    await flow(first(rigs), 50);
    await happen(pair, rigs);
    await Promise.all(stops.map((stop) => stop()));
    await Promise.all(rigs.map((rig) => rig.caughtUp(SOON_MS))).catch((error: Error) => {
      throw new Error(`after ${name}: ${error.message}`);
    });
    const entries = await readStreams(pair.master.client, FLEET);
    for (const rig of rigs) {
      const problems = checkHost(entries, { ...(await rig.expectation()), coveredBy });
      expect(problems, `${rig.host} after ${name}`).toEqual([]);
    }
  };

  it.each(FAULTS)('loses and repeats nothing through $name', suffer);

  it(
    `loses and repeats nothing through ${ROUNDS} of them, one after the other`,
    async () => {
      const random = randomFrom(SEED);
      for (let round = 0; round < ROUNDS; round += 1) {
        const fault = FAULTS[Math.floor(random() * FAULTS.length)];
        if (fault !== undefined) await suffer(fault);
        // So that reading all of it stays cheap.
        for (const { journal } of rigs)
          await journal.trim(Math.max(0, journal.status().newest - 500));
      }
    },
    30_000 + ROUNDS * 20_000,
  );
});

/** mulberry32: the same seed gives the same rounds. */
const randomFrom = (seed: number) => {
  let state = seed >>> 0;
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};
