import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { Guest } from '../../src/guest/guest.js';
import { startQemuGuest } from '../../src/guest/qemu-guest.js';
import type { Bench, BenchContext, Figure } from './figure.js';
import { startFloor } from './floor-process.js';
import { startLibvirtGuest } from './libvirt-guest.js';
import { findProgram } from './programs.js';
import { startServe } from './serve.js';
import { median, middleHalf, summarize } from './statistics.js';

const NAME = 'guest panic to guest running';
const LIBVIRT = 'libvirt on_crash=restart';
/** What is still going on after a boot (an outcome is journaled, logs are written) must not disturb the next one's turn. */
const REST_MS = 15;
/**
 * Each contestant's, one after the other: vmwarden lets one VM have 10 events a second in the journal before it folds
 * them, a panic and its restart are two, and a turn comes round in some 40 ms.
 */
const GUESTS = 8;

/** Guests that panic at our word, and somebody who restarts them. */
export interface Contestant {
  readonly guests: readonly PanickyGuest[];
  readonly stop: () => Promise<unknown>;
}

export type PanickyGuest = Pick<Guest, 'boots' | 'booted' | 'send'>;

/**
 * From the byte that makes the guest panic to the byte that it writes when it boots. All contestants' guests are
 * alive, and take turns.
 */
export const restart: Bench = {
  name: 'restart',
  run: async (context) => {
    const qemu = findProgram('qemu-system-x86_64');
    if (qemu === null)
      return [{ kind: 'skipped', name: NAME, reason: 'qemu-system-x86_64 is not installed' }];
    const contestants: Contestant[] = [];
    try {
      contestants.push(await startOurs(context, qemu), await startBare(context, qemu));
      const libvirt = await startLibvirtGuest(context, qemu);
      if ('contestant' in libvirt) contestants.push(libvirt.contestant);
      const [ours = NONE, bare = NONE, theirs = NONE] = await takeTurns(contestants, context.quick);
      return [
        against('bare QMP client + transactionSync', 1.25, ours, bare),
        'missing' in libvirt
          ? { kind: 'skipped', name: `${NAME}, against ${LIBVIRT}`, reason: libvirt.missing }
          : against(LIBVIRT, 0.5, ours, theirs),
      ];
    } finally {
      await Promise.all(contestants.map(({ stop }) => stop()));
    }
  },
};

/** Milliseconds. */
interface Turns {
  /** The very first, of code that has never run. */
  readonly first: number;
  readonly times: readonly number[];
}

const NONE: Turns = { first: Number.NaN, times: [] };

const takeTurns = async (
  contestants: readonly Contestant[],
  quick: boolean,
): Promise<readonly Turns[]> => {
  const rounds = quick ? 40 : 300;
  const warmUp = quick ? 20 : 100;
  const samples = contestants.map((): number[] => []);
  for (let round = 0; round < warmUp + rounds; round += 1) {
    for (const [index, { guests }] of contestants.entries()) {
      const guest = guests[round % guests.length];
      if (guest === undefined) continue;
      const boots = guest.boots();
      const startedAt = performance.now();
      guest.send('panic');
      await guest.booted(boots + 1);
      samples[index]?.push(performance.now() - startedAt);
      await new Promise((resolve) => setTimeout(resolve, REST_MS));
    }
  }
  return samples.map((all) => ({ first: all[0] ?? Number.NaN, times: all.slice(warmUp) }));
};

const against = (what: string, limit: number, ours: Turns, floor: Turns): Figure => ({
  kind: 'measured',
  name: NAME,
  unit: 'ms',
  ours: summarize(ours.times),
  floor: { ...summarize(floor.times), what },
  ratio: median(ours.times) / median(floor.times),
  limit,
  remarks: [
    `middle half ${middleHalf(ours.times)} against ${middleHalf(floor.times)}`,
    `the very first ${ours.first.toFixed(1)} against ${floor.first.toFixed(1)}`,
  ],
});

const startGuests = (context: BenchContext, qemu: string, name: string): Promise<Guest[]> => {
  const dir = path.join(context.socketDir, name);
  mkdirSync(dir);
  const start = async (index: number): Promise<Guest> => {
    const args = ['-action', 'panic=pause'];
    const guest = await startQemuGuest({ qemu, dir, name: `guest-${index}`, args });
    await guest.booted(1);
    return guest;
  };
  return Promise.all(Array.from({ length: GUESTS }, (_, index) => start(index)));
};

const startOurs = async (context: BenchContext, qemu: string): Promise<Contestant> => {
  const guests = await startGuests(context, qemu, 'ours');
  const vms = guests.map(({ qmpSocket }, index) => ({ id: `vm-${index}`, qmpSocket }));
  const serve = await startServe(context, 'restart', vms);
  await serve.connected();
  return { guests, stop: () => serve.stop().then(() => stopAll(guests)) };
};

const startBare = async (context: BenchContext, qemu: string): Promise<Contestant> => {
  const guests = await startGuests(context, qemu, 'bare');
  const floor = await startFloor(path.join(context.floors, 'bare-restart.mjs'), [
    path.join(context.dir, 'bare-restart'),
    ...guests.map(({ qmpSocket }) => qmpSocket),
  ]);
  return { guests, stop: () => floor.stop().then(() => stopAll(guests)) };
};

const stopAll = (guests: readonly Guest[]): Promise<unknown> =>
  Promise.all(guests.map(({ stop }) => stop()));
