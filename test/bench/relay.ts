import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Redis } from 'ioredis';
import { partitionOf, recordsKey } from '../../src/bus/redis/keys.js';
import { RedisBus } from '../../src/bus/redis/redis-bus.js';
import { type Relay, startRelay } from '../../src/bus/relay.js';
import type { Journal } from '../../src/journal/journal.js';
import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.js';
import type { Bench, BenchContext, Figure } from './figure.js';
import { pipelinedXadd } from './floors/pipelined-xadd.js';
import { findProgram } from './programs.js';
import { type BenchRedis, busAt, startBenchRedis } from './redis.js';
import { median, middleHalf, summarize } from './statistics.js';

const BACKLOG = 'relay of a backlog, a record';
const LATENCY = 'journaled to readable by a blocked consumer';
const MEMORY = 'Redis memory of a backlog';
const HOST = 'bench-host-1';
/** An event's record is about so large. */
const PAYLOAD = 190;
const RECORDS = 200_000;
const KEY = recordsKey('bench', partitionOf(HOST, 1));

/** A host's journal into a Redis of its own, beside what ioredis does at best with the same payload. */
export const relay: Bench = {
  name: 'relay',
  run: async (context) => {
    const program = findProgram('redis-server');
    if (program === null) {
      const reason = 'redis-server is not installed';
      return [BACKLOG, LATENCY, MEMORY].map((name) => ({ kind: 'skipped', name, reason }));
    }
    const redis = await startBenchRedis(program, path.join(context.dir, 'redis'));
    try {
      const journal = await openJournal(context, 'relayed');
      const other = await openJournal(context, 'bare');
      try {
        await fill(journal, RECORDS);
        return [
          ...(await backlog(context, redis, journal)),
          await latency(context, redis, journal, other),
        ];
      } finally {
        await journal.close();
        await other.close();
      }
    } finally {
      await redis.stop();
    }
  },
};

const backlog = async (
  { quick }: BenchContext,
  redis: BenchRedis,
  journal: Journal,
): Promise<Figure[]> => {
  const client = await redis.connect();
  const payload = Buffer.alloc(PAYLOAD, 'x');
  const ours: number[] = [];
  const floors: Record<1 | 4, number[]> = { 1: [], 4: [] };
  const bytes: number[] = [];
  /** Of processors' time, ours by theirs: what is left of the ratio where other work takes them. */
  const cpuShares: number[] = [];
  for (let round = quick ? 0 : -1; round < (quick ? 3 : 9); round += 1) {
    await client.flushall();
    const empty = await memoryOf(client);
    const before = cpuNs(redis);
    const own = await relayAll(redis, journal);
    const cpuOwn = cpuNs(redis) - before;
    const grown = (await memoryOf(client)) - empty;
    const bare: Record<1 | 4, number> = { 1: 0, 4: 0 };
    const cpuBare: Record<1 | 4, number> = { 1: 0, 4: 0 };
    for (const inFlight of [1, 4] as const) {
      await client.flushall();
      const from = cpuNs(redis);
      bare[inFlight] = await pipelinedXadd(client, payload, RECORDS, inFlight);
      cpuBare[inFlight] = cpuNs(redis) - from;
    }
    // The round below 0 warms everybody up.
    if (round < 0) continue;
    ours.push(own);
    cpuShares.push(cpuOwn / Math.min(cpuBare[1], cpuBare[4]));
    bytes.push(grown);
    floors[1].push(bare[1]);
    floors[4].push(bare[4]);
  }
  client.disconnect();
  const best = median(floors[1]) < median(floors[4]) ? 1 : 4;
  const payloadBytes = RECORDS * PAYLOAD;
  return [
    {
      kind: 'measured',
      name: BACKLOG,
      unit: 'ns',
      ours: summarize(ours),
      floor: {
        ...summarize(floors[best]),
        what: `ioredis, 64 payload-only XADDs, ${best} in flight`,
      },
      ratio: median(ours) / median(floors[best]),
      limit: 0.5,
      remarks: [
        `${Math.round(1e6 / median(ours))} k records/s; middle half ${middleHalf(ours)} against ${middleHalf(floors[best])}`,
        `processors' time of both programs: ${median(cpuShares).toFixed(2)} times theirs`,
      ],
    },
    {
      kind: 'measured',
      name: MEMORY,
      unit: 'MB',
      ours: summarize(bytes.map((value) => value / 1e6)),
      floor: {
        median: payloadBytes / 1e6,
        p99: null,
        n: 1,
        what: `payload, ${PAYLOAD} bytes each`,
      },
      ratio: median(bytes) / payloadBytes,
      limit: 2.5,
    },
  ];
};

/**
 * Both begin when a record has become durable in a journal, so that they find the machine in the same state: a
 * processor that slept during the flush takes longer to wake than either of them needs. `other` has no relay.
 */
const latency = async (
  { quick }: BenchContext,
  redis: BenchRedis,
  journal: Journal,
  other: Journal,
): Promise<Figure> => {
  const [writer, reader] = [await redis.connect(), await redis.connect()];
  await writer.flushall();
  const { running, reached } = startOurs(redis, journal);
  await reached;
  const payload = Buffer.alloc(PAYLOAD, 'x');
  const ours: number[] = [];
  const floor: number[] = [];
  const rounds = quick ? 300 : 2_000;
  for (let round = -200; round < rounds; round += 1) {
    const readable = blockedRead(reader, KEY);
    await reachServer(writer);
    const durable = whenDurable(journal, () => undefined);
    void journal.append(recordsOf(1, payload));
    const own = (await readable) - (await durable);

    const bareReadable = blockedRead(reader, 'bare');
    await reachServer(writer);
    const bareDurable = whenDurable(other, () => {
      void writer.xadd('bare', '*', 'data', payload);
    });
    void other.append(recordsOf(1, payload));
    const bare = (await bareReadable) - (await bareDurable);
    if (round < 0) continue;
    ours.push(own);
    floor.push(bare);
  }
  await running.stop(1_000);
  writer.disconnect();
  reader.disconnect();
  return {
    kind: 'measured',
    name: LATENCY,
    unit: 'ms',
    ours: summarize(ours),
    floor: { ...summarize(floor), what: 'bare XADD to XREAD BLOCK' },
    ratio: median(ours) / median(floor),
    limit: 2,
    remarks: [`middle half ${middleHalf(ours)} against ${middleHalf(floor)}`],
  };
};

/** When the consumer has the next entry of the stream. */
const blockedRead = async (reader: Redis, key: string): Promise<number> => {
  await reader.callBuffer('XREAD', ['BLOCK', 0, 'STREAMS', key, '$']);
  return performance.now();
};

/** By its answer the server has taken what the reader sent before on its own connection, too. */
const reachServer = async (writer: Redis): Promise<void> => {
  while (!(await writer.info('clients')).includes('blocked_clients:1')) await writer.ping();
};

/** When the next commit is durable; `then` is called at once. */
const whenDurable = (journal: Journal, then: () => void): Promise<number> =>
  new Promise((resolve) => {
    const unlisten = journal.onDurable(() => {
      unlisten();
      resolve(performance.now());
      then();
    });
  });

/** Nanoseconds a record, from the start of the relay to the confirmation of the last. */
const relayAll = async (redis: BenchRedis, journal: Journal): Promise<number> => {
  const start = performance.now();
  const { running, reached } = startOurs(redis, journal);
  await reached;
  const took = performance.now() - start;
  await running.stop(1_000);
  return (took * 1e6) / RECORDS;
};

/** `reached`: the bus has what the journal had at the start. */
const startOurs = (
  redis: BenchRedis,
  journal: Journal,
): { readonly running: Relay; readonly reached: Promise<void> } => {
  const silent = (): void => undefined;
  const config = busAt(redis.port, 1);
  const bus = new RedisBus({ config, host: HOST, journalId: journal.id });
  const { newest } = journal.status();
  let reach: () => void = silent;
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const running = startRelay({
    journal,
    bus: {
      open: () => bus.open(),
      publish: async (batch) => {
        const sequence = await bus.publish(batch);
        if (sequence >= newest) reach();
        return sequence;
      },
      beat: () => bus.beat(),
      leave: () => bus.leave(),
      onLost: (listener) => bus.onLost(listener),
      close: () => bus.close(),
    },
    lossMarker: () => Buffer.from('lost'),
    wallMs: Date.now,
    log: { info: silent, warn: silent, error: silent },
  });
  return { running, reached };
};

const openJournal = (context: BenchContext, name: string): Promise<Journal> =>
  openLmdbJournal({
    dir: path.join(context.dir, `journal-${name}`),
    reserveBytes: 0,
    pid: process.pid,
  });

const fill = async (journal: Journal, records: number): Promise<void> => {
  const payload = Buffer.alloc(PAYLOAD, 'x');
  for (let done = 0; done < records; done += 1_000) {
    await journal.append(recordsOf(1_000, payload)).durable;
  }
};

const recordsOf = (count: number, bytes: Uint8Array) => ({
  kind: 'ingest' as const,
  records: Array.from({ length: count }, () => ({ vm: '', bytes })),
  rows: [],
});

const memoryOf = async (client: Redis): Promise<number> =>
  Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);

/** This process and Redis. */
const cpuNs = ({ pid }: BenchRedis): number => {
  const { user, system } = process.cpuUsage();
  const [server = 0] = readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ').map(Number);
  return (user + system) * 1_000 + server;
};
