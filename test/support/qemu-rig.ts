import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import type { ReleaseConfig, VmConfig } from '../../src/config/config.js';
import type { EventReport } from '../../src/event/report.js';
import type { Guest } from '../../src/guest/guest.js';
import { type QemuGuestOptions, startQemuGuest } from '../../src/guest/qemu-guest.js';
import { startStandInGuest } from '../../src/guest/stand-in-guest.js';
import type { Clock } from '../../src/lib/clock.js';
import type { Act, Driver, LastSeen, Sighting, TakeOver } from '../../src/vmm/driver.js';
import { createQemuDriver } from '../../src/vmm/qemu/driver.js';
import type { Tuning } from '../../src/vmm/qemu/tuning.js';
import { partPath } from './parts.js';
import { connectQmpClient, type QmpClient } from './qmp-client.js';

/** A private directory, gone when the test is over. */
export const tempDir = async (): Promise<string> => {
  const dir = await mkdtemp(path.join(tmpdir(), 'vmw-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
};

export const hostClock: Clock = {
  now: () => ({ wallMs: Date.now(), monoMs: performance.now(), hostBootId: 'test' }),
};

export const RELEASE: ReleaseConfig = {
  panic: 'shutdown',
  shutdown: 'poweroff',
  watchdog: 'reset',
  reboot: 'reset',
};

export const vmConfig = (socket: string, release: Partial<ReleaseConfig> = {}): VmConfig => ({
  id: 'vm',
  uid: 'uid',
  labels: {},
  driver: { kind: 'qemu', socket },
  takeOver: false,
  release: { ...RELEASE, ...release },
});

/** Starts a guest and waits for its first boot; with `-S` it has none. */
export const startQemu = async (
  args: readonly string[] = [],
  options: Partial<QemuGuestOptions> = {},
): Promise<Guest> => {
  const dir = options.dir ?? (await tempDir());
  const qemu = options.qemu ?? partPath('qemu-system-x86_64');
  return started(await startQemuGuest({ monitors: 2, ...options, dir, qemu, args }), args);
};

export const startStandIn = async (args: readonly string[] = []): Promise<Guest> => {
  const program = new URL('../../dist/stand-in.js', import.meta.url);
  return started(
    await startStandInGuest({ dir: await tempDir(), program, args, monitors: 2 }),
    args,
  );
};

const started = async (guest: Guest, args: readonly string[]): Promise<Guest> => {
  onTestFinished(guest.stop);
  if (!args.includes('-S') && !args.includes('-incoming')) await guest.booted(1);
  return guest;
};

/** The other monitor of a guest, as an operator or libvirt would hold it. */
export const otherMonitor = async (guest: Guest): Promise<QmpClient> => {
  const client = await connectQmpClient(guest.qmpSockets[1] ?? '');
  onTestFinished(client.close);
  return client;
};

export interface Watcher {
  readonly driver: Driver;
  readonly sightings: readonly Sighting[];
  /** Reports of all events so far, as `TYPE initiator reason`. */
  told(): readonly string[];
  /** The first sighting that matches among those that no call has returned yet. */
  next<S extends Sighting>(
    what: string,
    match: (sighting: Sighting) => sighting is S,
    timeoutMs?: number,
  ): Promise<S>;
  connected(timeoutMs?: number): Promise<Extract<Sighting, { kind: 'connected' }>>;
  disconnected(timeoutMs?: number): Promise<Extract<Sighting, { kind: 'disconnected' }>>;
  event(type: string, timeoutMs?: number): Promise<Extract<Sighting, { kind: 'event' }>>;
  act(changes?: Partial<Act>): Act;
  /** What the VMM should leave to vmwarden, from the next connect or refresh on. */
  takeOver: TakeOver | null;
  lastSeen: LastSeen | null;
  /** Stops watching, abruptly: without a release. */
  stop(): Promise<void>;
}

export interface WatchOptions {
  readonly release?: Partial<ReleaseConfig>;
  readonly takeOver?: TakeOver;
  readonly lastSeen?: LastSeen;
  readonly tuning?: Partial<Tuning>;
}

/** A driver on that socket, and all that it tells. */
export const watch = (socket: string, options: WatchOptions = {}): Watcher => {
  const driver = createQemuDriver({
    vm: vmConfig(socket, options.release),
    socket,
    clock: hostClock,
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined },
    ...(options.tuning && { tuning: options.tuning }),
  });
  return watchWith(driver, options);
};

/** Watches by any driver. */
export const watchWith = (driver: Driver, options: WatchOptions = {}): Watcher => {
  const stop = new AbortController();
  const sightings: Sighting[] = [];
  const unread: Sighting[] = [];
  const waiting = new Set<() => void>();
  const watcher: Watcher = {
    driver,
    sightings,
    takeOver: options.takeOver ?? null,
    lastSeen: options.lastSeen ?? null,
    told: () => sightings.flatMap((one) => (one.kind === 'event' ? [inShort(one.report)] : [])),
    next: (what, match, timeoutMs = 10_000) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const index = unread.findIndex(match);
          if (index === -1) return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve(unread.splice(index, 1)[0] as never);
        };
        const timer = setTimeout(() => {
          waiting.delete(look);
          const seen = sightings.map((one) =>
            one.kind === 'event' ? inShort(one.report) : one.kind,
          );
          reject(new Error(`no ${what} in ${timeoutMs} ms, but: ${seen.join('; ')}`));
        }, timeoutMs);
        waiting.add(look);
        look();
      }),
    connected: (timeoutMs) =>
      watcher.next('connected', (one) => one.kind === 'connected', timeoutMs),
    disconnected: (timeoutMs) =>
      watcher.next('disconnected', (one) => one.kind === 'disconnected', timeoutMs),
    event: (type, timeoutMs) =>
      watcher.next(
        type,
        (one): one is Extract<Sighting, { kind: 'event' }> =>
          one.kind === 'event' && one.report.event.type === type,
        timeoutMs,
      ),
    act: (changes = {}) => ({
      id: randomUUID(),
      signal: new AbortController().signal,
      timeoutMs: 10_000,
      cause: { boots: null, resumed: false },
      ...changes,
    }),
    stop: async () => {
      stop.abort();
      await watching;
    },
  };
  const watching = driver.start({
    signal: stop.signal,
    onSighting: (sighting) => {
      sightings.push(sighting);
      unread.push(sighting);
      if (sighting.kind === 'event') sighting.onSettled?.(null);
      for (const look of [...waiting]) look();
    },
    lastSeen: () => watcher.lastSeen,
    takeOver: () => watcher.takeOver,
  });
  onTestFinished(watcher.stop);
  return watcher;
};

/** `TYPE initiator reason`, and `reconciled` where it was found on connect. */
export const inShort = ({ event, initiator, reconciled }: EventReport): string => {
  const reason = event.detail.kind === 'vmm' ? event.detail.reason : event.detail.kind;
  return `${event.type} ${initiator} ${reason}${reconciled ? ' reconciled' : ''}`;
};
