import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { startQemuGuest } from '../../src/guest/qemu-guest.js';
import type { Bench, BenchContext } from './figure.js';
import { startFloor } from './floor-process.js';
import { findProgram } from './programs.js';
import { startServe } from './serve.js';
import { median, middleHalf, summarize } from './statistics.js';

const NAME = 'RSS of serve with 1 VM';
/** Processes of each kind that settle side by side. */
const ABREAST = 5;
/**
 * Looked at twice: V8 gives the garbage of a start back when a process has done nothing for some 8 s, and of that
 * both sides have about as much, which makes the ratio look better before.
 */
const AGES_S = [5, 20] as const;

/** Both kinds of process start, do nothing for the same time, and are looked at in /proc. */
export const idleMemory: Bench = {
  name: 'memory',
  run: async (context) => {
    const qemu = findProgram('qemu-system-x86_64');
    if (qemu === null)
      return [{ kind: 'skipped', name: NAME, reason: 'qemu-system-x86_64 is not installed' }];
    const waves = context.quick ? 1 : 4;
    const ages = AGES_S.map((seconds) => ({
      seconds,
      ours: [] as number[],
      floor: [] as number[],
    }));
    for (let wave = 0; wave < waves; wave += 1) {
      const pairs = Array.from({ length: ABREAST }, (_, index) =>
        startPair(context, qemu, `idle-${wave}-${index}`),
      );
      const started = await Promise.all(pairs);
      const startedAt = performance.now();
      for (const { seconds, ours, floor } of ages) {
        const leftMs = startedAt + seconds * 1000 - performance.now();
        await new Promise((resolve) => setTimeout(resolve, leftMs));
        ours.push(...started.map(({ serve }) => rssOf(serve)));
        floor.push(...started.map(({ bare }) => rssOf(bare)));
      }
      await Promise.all(started.map(({ stop }) => stop()));
    }
    return ages.map(({ seconds, ours, floor }) => ({
      kind: 'measured',
      name: `${NAME}, idle for ${seconds} s`,
      unit: 'MB',
      ours: summarize(ours),
      floor: { ...summarize(floor), what: 'grpc-js server and ioredis, idle' },
      ratio: median(ours) / median(floor),
      limit: 1.3,
      remarks: [`middle half ${middleHalf(ours)} against ${middleHalf(floor)}`],
    }));
  },
};

interface Pair {
  readonly serve: number;
  readonly bare: number;
  readonly stop: () => Promise<unknown>;
}

const startPair = async (context: BenchContext, qemu: string, name: string): Promise<Pair> => {
  const dir = path.join(context.socketDir, `${name}-guest`);
  mkdirSync(dir);
  const guest = await startQemuGuest({ qemu, dir, args: ['-action', 'panic=pause'] });
  await guest.booted(1);
  const serve = await startServe(context, name, [{ id: 'vm', qmpSocket: guest.qmpSocket }]);
  await serve.connected();
  const bare = await startFloor(path.join(context.floors, 'idle-process.mjs'), [
    path.join(dir, 'floor'),
  ]);
  return {
    serve: serve.pid,
    bare: bare.pid,
    stop: () => Promise.all([serve.stop(), bare.stop()]).then(guest.stop),
  };
};

/** Megabytes (10^6). */
const rssOf = (pid: number): number => {
  const kibibytes = /^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return (Number(kibibytes) * 1024) / 1e6;
};
