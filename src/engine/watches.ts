import type { Sighting, Watch } from '../vmm/driver.js';
import type { EngineVm } from './roster.js';

interface Watched {
  readonly vm: EngineVm;
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

export interface WatchPorts {
  readonly take: (vm: string, sighting: Sighting) => void;
  readonly lastSeen: (vm: string) => ReturnType<Watch['lastSeen']>;
  readonly takeOver: (vm: string) => ReturnType<Watch['takeOver']>;
}

/** The VMs that a driver watches now; they may come and go. */
export class Watches {
  readonly #ports: WatchPorts;
  readonly #byVm = new Map<string, Watched>();

  constructor(ports: WatchPorts) {
    this.#ports = ports;
  }

  has(id: string): boolean {
    return this.#byVm.has(id);
  }

  all(): readonly EngineVm[] {
    return [...this.#byVm.values()].map(({ vm }) => vm);
  }

  start(vm: EngineVm): void {
    const { take, lastSeen, takeOver } = this.#ports;
    const abort = new AbortController();
    const done = vm.driver.start({
      signal: abort.signal,
      onSighting: (sighting) => take(vm.id, sighting),
      lastSeen: () => lastSeen(vm.id),
      takeOver: () => (vm.takeOver ? takeOver(vm.id) : null),
    });
    this.#byVm.set(vm.id, { vm, abort, done });
  }

  /** Resolves when the driver has let go of what it held. */
  async end(id: string): Promise<void> {
    const watched = this.#byVm.get(id);
    if (watched === undefined) return;
    watched.abort.abort();
    await watched.done;
    if (this.#byVm.get(id) === watched) this.#byVm.delete(id);
  }

  async endAll(): Promise<void> {
    for (const { abort } of this.#byVm.values()) abort.abort();
    await Promise.all([...this.#byVm.values()].map(({ done }) => done));
  }
}
