import type { DiscoverConfig, VmConfig } from '../config/config.js';
import { safeText } from '../event/guest-text.js';
import type { Journal } from '../journal/journal.js';
import type { Clock } from '../lib/clock.js';
import type { Logger } from '../lib/logger.js';
import { withDeadline } from '../lib/with-deadline.js';
import { DirectoryWatches } from './directory-watches.js';
import { vmAtPath } from './found-vm.js';
import { type KnownVm, readKnown, writeKnown } from './known.js';
import { type Look, reconcile, type Situation, type Tracked } from './reconcile.js';
import { type Refusal, type Scan, scanSockets } from './scan.js';

/** Where VMs that were found are watched. */
export interface Fleet {
  /** Watches the VM; one of that id that was found before is let go first. */
  attach(vm: VmConfig): Promise<void>;
  /** Lets the VM go and no longer lists it, but keeps its rows. False: something is open with it, so it stays. */
  retire(id: string): Promise<boolean>;
  look(id: string): Look;
}

export interface DiscoveryPorts {
  readonly patterns: readonly DiscoverConfig[];
  /** Those that the operator named: they go before what is found. */
  readonly named: readonly VmConfig[];
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: { up(part: string): void; degraded(part: string, reason: string): void };
  /** Of this process. */
  readonly ownUid: number;
  /** Default: `TIMES`. */
  readonly times?: Partial<Times>;
}

/** Milliseconds. */
export interface Times {
  /** Everything is looked at again after this, less up to half by chance: inotify may miss what changes. */
  readonly rescanMs: number;
  /** What changes within this is looked at together. */
  readonly debounceMs: number;
  /** A scan that takes longer (a file system that hangs) is waited for no more, and no other one begins. */
  readonly scanMs: number;
}

const TIMES: Times = { rescanMs: 30_000, debounceMs: 100, scanMs: 10_000 };
/** Between two scans at least this many times what the last one took, so that changes without end cost little. */
const REST = 10;
/** Reasons that fit in a line of health. */
const TOLD = 5;
/** Retired VMs that are remembered as such. */
const MAX_RETIRED = 4_000;

export interface Discovery {
  /** VMs to be watched from the start. */
  readonly vms: readonly VmConfig[];
  /** VMs that are not listed until there is something new of them. */
  readonly retired: readonly string[];
  /** Keeps the fleet as the sockets are. */
  follow(fleet: Fleet): void;
  stop(): Promise<void>;
}

/** Looks once, and reads back which VMs were found before. Rejects with the journal's Faults. */
export const openDiscovery = async (ports: DiscoveryPorts): Promise<Discovery> => {
  const finder = new Finder(ports);
  await finder.open();
  return finder;
};

class Finder implements Discovery {
  readonly #ports: DiscoveryPorts;
  readonly #times: Times;
  readonly #named: Situation['named'];
  readonly #watches = new DirectoryWatches(() => this.#plan(this.#times.debounceMs));
  readonly #abort = new AbortController();
  /** Marks of sockets by path, and the ids of their VMs. */
  readonly #retired = new Map<string, { readonly id: string; readonly mark: string }>();
  /** Rows as they are in the journal. */
  readonly #written = new Map<string, KnownVm>();
  #tracked: ReadonlyMap<string, Tracked> = new Map();
  #fleet: Fleet | null = null;
  #scanning: Promise<Scan> | null = null;
  #running: Promise<void> = Promise.resolve();
  #busy = false;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Number.POSITIVE_INFINITY;
  #restUntil = 0;
  #told = new Set<string>();

  constructor(ports: DiscoveryPorts) {
    this.#ports = ports;
    this.#times = { ...TIMES, ...ports.times };
    this.#named = new Map(
      ports.named.map(({ id, driver }) => [id, driver.kind === 'qemu' ? driver.socket : null]),
    );
  }

  get vms(): readonly VmConfig[] {
    return [...this.#tracked.values()].map(({ vm }) => vm);
  }

  get retired(): readonly string[] {
    return [...this.#retired.values()].map(({ id }) => id);
  }

  async open(): Promise<void> {
    const { journal, patterns, ownUid, log } = this.#ports;
    const tracked = new Map<string, Tracked>();
    for (const known of await readKnown(journal)) {
      this.#written.set(known.id, known);
      const { id, socket, goneAtMs, retired } = known;
      const at = vmAtPath(patterns, socket, ownUid);
      if (at === null || at.vm.id !== id || this.#named.has(id)) {
        // From now on it is what the configuration says, or what only reporters know.
        if (retired === null) log.warn({ vm: id, socket }, 'VM is no longer found by a pattern');
      } else if (retired === null) {
        tracked.set(id, { ...at, socket, mark: '', goneAtMs });
      } else this.#retired.set(socket, { id, mark: retired });
    }
    this.#tracked = tracked;
    await this.#round();
    log.info({ vms: this.#tracked.size }, 'VMs found by their sockets');
  }

  follow(fleet: Fleet): void {
    this.#fleet = fleet;
    // What changed since the first look.
    this.#plan(0);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    clearTimeout(this.#timer);
    this.#watches.close();
    await withDeadline(1_000, this.#running);
  }

  #plan(inMs: number): void {
    if (this.#abort.signal.aborted || this.#fleet === null) return;
    const now = performance.now();
    const at = Math.max(now + inMs, this.#restUntil);
    if (at >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = at;
    this.#timer = setTimeout(() => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      if (this.#busy) this.#plan(this.#times.debounceMs);
      else this.#running = this.#round();
    }, at - now);
    this.#timer.unref();
  }

  async #round(): Promise<void> {
    this.#busy = true;
    const startedMs = performance.now();
    try {
      const scan = await this.#scan();
      if (scan !== null && !this.#abort.signal.aborted) await this.#take(scan);
    } catch (error) {
      this.#ports.log.error({ error }, 'discovery failed');
      const why = error instanceof Error ? error.message : String(error);
      this.#ports.health.degraded('discovery', safeText(why, 500));
      if (this.#fleet === null) throw error;
    } finally {
      this.#busy = false;
      const now = performance.now();
      this.#restUntil = now + Math.min(this.#times.rescanMs, (now - startedMs) * REST);
      this.#plan(this.#times.rescanMs * (0.5 + Math.random() / 2));
    }
  }

  /** null: it hangs. */
  async #scan(): Promise<Scan | null> {
    const { patterns, ownUid, health, log } = this.#ports;
    this.#scanning ??= scanSockets(patterns, { ownUid, signal: this.#abort.signal }).finally(() => {
      this.#scanning = null;
    });
    const scan = await withDeadline(this.#times.scanMs, this.#scanning);
    if (scan !== undefined) return scan;
    const reason = `sockets were not looked through in ${this.#times.scanMs} ms; still at it`;
    health.degraded('discovery', reason);
    log.warn({}, reason);
    return null;
  }

  async #take(scan: Scan): Promise<void> {
    const { clock, ownUid } = this.#ports;
    const fleet = this.#fleet;
    const found = reconcile(scan, {
      tracked: this.#tracked,
      retired: new Map([...this.#retired].map(([path, { mark }]) => [path, mark])),
      named: this.#named,
      look: (id) => fleet?.look(id) ?? { connected: false, exited: false },
      nowMs: clock.now().wallMs,
      ownUid,
    });
    const tracked = new Map(found.tracked);
    this.#tracked = tracked;
    for (const id of found.attach) {
      const socket = tracked.get(id)?.socket ?? '';
      this.#forgetRetired(id);
      this.#ports.log.info({ vm: id, socket }, 'VM found');
    }
    // Before anything is begun on them: a life that knows of no such VM would give up what this one began.
    await this.#write();
    if (fleet !== null) {
      for (const id of found.attach) {
        await this.#attach(fleet, tracked, id);
      }
      for (const id of found.retire) await this.#retire(fleet, tracked, id);
      await this.#write();
    }
    if (this.#watches.set(scan.directories)) this.#plan(this.#times.debounceMs);
    this.#tell([...scan.refused, ...found.refused], scan.refusedMore);
  }

  async #attach(fleet: Fleet, tracked: Map<string, Tracked>, id: string): Promise<void> {
    const vm = tracked.get(id)?.vm;
    if (vm === undefined || this.#abort.signal.aborted) return;
    try {
      await fleet.attach(vm);
    } catch (error) {
      // It is found again, and tried again, at the next scan.
      tracked.delete(id);
      this.#ports.log.error({ vm: id, error }, 'VM found, but it can not be watched');
    }
  }

  async #retire(fleet: Fleet, tracked: Map<string, Tracked>, id: string): Promise<void> {
    const known = tracked.get(id);
    if (known === undefined || this.#abort.signal.aborted || !(await fleet.retire(id))) return;
    tracked.delete(id);
    this.#retired.set(known.socket, { id, mark: known.mark });
    const [oldest] = this.#retired.keys();
    if (this.#retired.size > MAX_RETIRED && oldest !== undefined) this.#retired.delete(oldest);
    this.#ports.log.info(
      { vm: id, socket: known.socket },
      'VM retired: its socket is gone for good',
    );
  }

  #forgetRetired(id: string): void {
    for (const [path, one] of this.#retired) if (one.id === id) this.#retired.delete(path);
  }

  /** What the rows say no more. A journal that refuses is asked again at the next scan. */
  async #write(): Promise<void> {
    const { journal, clock, log } = this.#ports;
    const now = new Map<string, KnownVm>();
    for (const [id, { socket, goneAtMs }] of this.#tracked) {
      now.set(id, { id, socket, goneAtMs, retired: null });
    }
    for (const [socket, { id, mark }] of this.#retired) {
      if (!now.has(id)) now.set(id, { id, socket, goneAtMs: null, retired: mark });
    }
    const changed = [...now.values()].filter((vm) => !isSame(vm, this.#written.get(vm.id)));
    const forgotten = [...this.#written.keys()].filter((id) => !now.has(id));
    try {
      await writeKnown(journal, changed, forgotten, clock.now().wallMs);
    } catch (error) {
      log.warn({ error }, 'which VMs were found is not journaled yet');
      return;
    }
    for (const vm of changed) this.#written.set(vm.id, vm);
    for (const id of forgotten) this.#written.delete(id);
  }

  #tell(refused: readonly Refusal[], more: number): void {
    const { health, log } = this.#ports;
    const lines = refused.map(({ path, reason }) => `${safeText(path, 200)} ${reason}`);
    for (const line of lines)
      if (!this.#told.has(line)) log.warn({}, `not taken for a VM: ${line}`);
    this.#told = new Set(lines);
    const { problem } = this.#watches;
    const shown = [...(problem === null ? [] : [problem]), ...lines.slice(0, TOLD)];
    const rest = Math.max(0, lines.length - TOLD) + more;
    if (shown.length === 0) health.up('discovery');
    else {
      health.degraded('discovery', shown.join('; ') + (rest > 0 ? `; and ${rest} more` : ''));
    }
  }
}

const isSame = (a: KnownVm, b: KnownVm | undefined): boolean =>
  b !== undefined && a.socket === b.socket && a.goneAtMs === b.goneAtMs && a.retired === b.retired;
