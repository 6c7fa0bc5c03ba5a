import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Redis } from 'ioredis';
import { BEAT_MS, recordsKey } from '../../src/bus/redis/keys.js';
import { RedisBus } from '../../src/bus/redis/redis-bus.js';
import { type Relay, startRelay } from '../../src/bus/relay.js';
import type { Journal } from '../../src/journal/journal.js';
import { MemoryJournal } from '../../src/journal/memory-journal.js';
import { waitFor } from '../support/wait-for.js';
import type { Bench, Figure, Summary } from './figure.js';
import { findProgram } from './programs.js';
import { type BenchRedis, busAt, startBenchRedis } from './redis.js';
import { summarize } from './statistics.js';

const HOSTS = 1_000;
const PARTITIONS = 64;
/** An event's record is about so large. */
const PAYLOAD = Buffer.alloc(190, 'x');
/** Of a hundred hosts: how many, and the records of each in a second. A storm on a few, little on most. */
const MIX = [
  { hosts: 80, rate: 0.5 },
  { hosts: 15, rate: 5 },
  { hosts: 5, rate: 50 },
] as const;
const MIXED_RATE = (HOSTS / 100) * MIX.reduce((sum, { hosts, rate }) => sum + hosts * rate, 0);
const TICK_MS = 10;
const BACKLOG_EACH = 200;

/** A thousand relays of this process into one Redis, each with a connection, heartbeats and a journal of its own. */
export const fleetLoad: Bench = {
  name: 'fleet-load',
  run: async ({ quick, dir, say }) => {
    const program = findProgram('redis-server');
    if (program === null) {
      return [{ kind: 'skipped', name: NAME, reason: 'redis-server is not installed' }];
    }
    const redis = await startBenchRedis(program, path.join(dir, 'fleet-load'));
    const hosts = Array.from({ length: HOSTS }, (_, index) => startHost(redis, `host-${index}`));
    try {
      say(`  ${HOSTS} hosts connect ...`);
      await allCaughtUp(hosts);
      const figures: Figure[] = [];
      for (const factor of quick ? [1] : [1, 2, 4]) {
        say(`  ${MIXED_RATE * factor} records/s ...`);
        figures.push(...(await mixed(redis, hosts, factor, quick ? 5 : 20)));
      }
      say('  a backlog on every host ...');
      figures.push(await backlog(redis, hosts));
      say('  Redis restarts ...');
      figures.push(await restarted(redis, hosts));
      return figures;
    } finally {
      await Promise.all(hosts.map(({ relay }) => relay.stop(0)));
      await redis.stop();
    }
  },
};

const NAME = `${HOSTS} hosts on one Redis`;

interface Host {
  readonly journal: Journal;
  readonly relay: Relay;
  /** Journaled and not confirmed yet: the sequence, and since when. */
  readonly waiting: { readonly sequence: number; readonly at: number }[];
  /** Called with how long a record waited. */
  told: (waitedMs: number) => void;
}

const startHost = (redis: BenchRedis, name: string): Host => {
  const journal = new MemoryJournal();
  const bus = new RedisBus({
    config: busAt(redis.port, PARTITIONS),
    host: name,
    journalId: journal.id,
  });
  const waiting: Host['waiting'] = [];
  const silent = (): void => undefined;
  const confirmed = (upTo: number): void => {
    const now = performance.now();
    for (let first = waiting[0]; first !== undefined && first.sequence <= upTo; ) {
      host.told(now - first.at);
      waiting.shift();
      first = waiting[0];
    }
  };
  const relay = startRelay({
    journal,
    bus: {
      open: () => bus.open(),
      publish: async (batch) => {
        const sequence = await bus.publish(batch);
        confirmed(sequence);
        return sequence;
      },
      beat: () => bus.beat(),
      leave: () => bus.leave(),
      onLost: (listener) => bus.onLost(listener),
      close: () => bus.close(),
    },
    lossMarker: () => PAYLOAD,
    wallMs: Date.now,
    log: { info: silent, warn: silent, error: silent },
    limits: { beatMs: BEAT_MS },
  });
  const host: Host = { journal, relay, waiting, told: silent };
  return host;
};

const append = ({ journal, waiting }: Host, count: number): void => {
  const at = performance.now();
  const { first, durable } = journal.append({
    kind: 'ingest',
    records: Array.from({ length: count }, () => ({ vm: '', bytes: PAYLOAD })),
    rows: [],
  });
  for (let index = 0; index < count; index += 1) waiting.push({ sequence: first + index, at });
  durable.catch(() => undefined);
};

/** For `seconds`, every host at its share of the rate. */
const mixed = async (
  redis: BenchRedis,
  hosts: readonly Host[],
  factor: number,
  seconds: number,
): Promise<Figure[]> => {
  const waits: number[] = [];
  for (const host of hosts) host.told = (waited) => waits.push(waited);
  const rates = hosts.map((_, index) => rateOf(index % 100) * factor);
  // So that they don't all come in the same tick.
  const due = rates.map((_, index) => (index * 0.618) % 1);
  const start = performance.now();
  const before = cpuOf(redis);
  let appended = 0;
  let worst = 0;
  for (let last = start; last < start + seconds * 1_000; ) {
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    const now = performance.now();
    for (const [index, host] of hosts.entries()) {
      const owed = (due[index] ?? 0) + ((rates[index] ?? 0) * (now - last)) / 1_000;
      const whole = Math.floor(owed);
      due[index] = owed - whole;
      if (whole > 0) append(host, whole);
      appended += whole;
    }
    worst = Math.max(worst, lagOf(hosts));
    last = now;
  }
  await allCaughtUp(hosts);
  const took = performance.now() - start;
  const cpu = cpuSince(redis, before, took);
  const published = (waits.length / took) * 1_000;
  const what = `${NAME}, ${Math.round(MIXED_RATE * factor)} records/s offered`;
  return [
    figure(
      `${what}: published`,
      'records/s',
      only(published),
      only((appended / took) * 1_000),
      'journaled',
      appended / waits.length,
      1.01,
    ),
    figure(
      `${what}: journaled to confirmed`,
      'ms',
      summarize(waits),
      only(TICK_MS),
      'one tick of the load',
      0,
      null,
      [`most records behind, of all hosts: ${worst}`],
    ),
    figure(
      `${what}: Redis`,
      '%',
      only(cpu.redis),
      only(100),
      'one processor',
      cpu.redis / 100,
      null,
      [`the hosts' process: ${cpu.hosts.toFixed(0)} %`],
    ),
  ];
};

const backlog = async (redis: BenchRedis, hosts: readonly Host[]): Promise<Figure> => {
  for (const host of hosts) host.told = () => undefined;
  const before = cpuOf(redis);
  const start = performance.now();
  for (const host of hosts) append(host, BACKLOG_EACH);
  await allCaughtUp(hosts);
  const took = performance.now() - start;
  const cpu = cpuSince(redis, before, took);
  const rate = (HOSTS * BACKLOG_EACH * 1_000) / took;
  return figure(
    `${NAME}, ${BACKLOG_EACH} records each at once`,
    'records/s',
    only(rate),
    only(MIXED_RATE),
    'the mixed load',
    MIXED_RATE / rate,
    null,
    [
      `Redis ${cpu.redis.toFixed(0)} %, the hosts' process ${cpu.hosts.toFixed(0)} % of a processor`,
    ],
  );
};

/** It forgets everything, so every host publishes all that its journal has again. */
const restarted = async (redis: BenchRedis, hosts: readonly Host[]): Promise<Figure> => {
  const records = hosts.reduce((sum, { journal }) => sum + journal.status().newest, 0);
  await redis.restart();
  const start = performance.now();
  const client = await redis.connect();
  let answers = performance.now() - start;
  let worst = 0;
  const asking = setInterval(() => {
    const asked = performance.now();
    client.ping().then(
      () => {
        worst = Math.max(worst, performance.now() - asked);
      },
      () => undefined,
    );
  }, 50);
  answers = Math.max(1, answers);
  await waitFor(
    'every host is back',
    () => hosts.every(({ relay }) => relay.status().state === 'relaying'),
    120_000,
  );
  const back = performance.now() - start;
  await waitFor('all is there again', async () => (await entriesOf(client)) >= records, 120_000);
  const took = performance.now() - start;
  clearInterval(asking);
  client.disconnect();
  return figure(
    `${NAME}: Redis restarts empty, all ${records} records are there again`,
    'ms',
    only(took),
    only(answers),
    'Redis answers',
    took / answers,
    null,
    [
      `every host is connected after ${back.toFixed(0)} ms; a PING meanwhile takes ${worst.toFixed(0)} ms at most`,
    ],
  );
};

const entriesOf = async (client: Redis): Promise<number> => {
  const keys = Array.from({ length: PARTITIONS }, (_, index) => recordsKey('bench', index));
  const lengths = await Promise.all(keys.map((key) => client.xlen(key)));
  return lengths.reduce((sum, length) => sum + length, 0);
};

const rateOf = (place: number): number => {
  let upTo = 0;
  for (const { hosts, rate } of MIX) {
    upTo += hosts;
    if (place < upTo) return rate;
  }
  return 0;
};

const lagOf = (hosts: readonly Host[]): number =>
  hosts.reduce((sum, { waiting }) => sum + waiting.length, 0);

const allCaughtUp = (hosts: readonly Host[]): Promise<void> =>
  waitFor(
    'every host has published all',
    () =>
      hosts.every(({ relay, waiting }) => {
        const { state, lag } = relay.status();
        return state === 'relaying' && lag === 0 && waiting.length === 0;
      }),
    120_000,
  );

interface Cpu {
  readonly redisMs: number;
  readonly hostsMs: number;
}

const cpuOf = (redis: BenchRedis): Cpu => {
  const { user, system } = process.cpuUsage();
  // Nanoseconds on a processor; its main thread is the one that works.
  const [ns = 0] = readFileSync(`/proc/${redis.pid}/schedstat`, 'utf8').split(' ').map(Number);
  return { redisMs: ns / 1e6, hostsMs: (user + system) / 1e3 };
};

/** Percent of one processor. */
const cpuSince = (redis: BenchRedis, before: Cpu, tookMs: number) => {
  const now = cpuOf(redis);
  return {
    redis: ((now.redisMs - before.redisMs) / tookMs) * 100,
    hosts: ((now.hostsMs - before.hostsMs) / tookMs) * 100,
  };
};

const only = (value: number): Summary => ({ median: value, p99: null, n: 1 });

const figure = (
  name: string,
  unit: 'ms' | 'records/s' | '%',
  ours: Summary,
  floor: Summary,
  what: string,
  ratio: number,
  limit: number | null,
  remarks: readonly string[] = [],
): Figure => ({
  kind: 'measured',
  name,
  unit,
  ours,
  floor: { ...floor, what },
  ratio: ratio === 0 ? ours.median / floor.median : ratio,
  limit,
  remarks,
});
