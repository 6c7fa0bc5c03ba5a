import type { Actuator } from './actuator.js';
import type { Core } from './core.js';
import type { Ingest } from './ingest.js';
import type { EngineVm } from './roster.js';
import type { Sightings } from './sightings.js';
import type { VmRow } from './vm-row.js';
import type { Watches } from './watches.js';

/** A VM that is in no configuration is forgotten when nothing was reported of it for so long. */
const REPORTED_KEPT_MS = 7 * 24 * 60 * 60 * 1000;
/** What a VM that came and went leaves: for the longest window that a policy can look back over. */
const RETIRED_KEPT_MS = 30 * 24 * 60 * 60 * 1000;

/** How long rows are kept of VMs that may be gone for good. */
export class Keeping {
  readonly #forever: Set<string>;
  readonly #longer = new Set<string>();

  constructor(driven: Iterable<string>) {
    this.#forever = new Set(driven);
  }

  keep(vm: string): void {
    this.#forever.add(vm);
    this.#longer.delete(vm);
  }

  letGo(vm: string): void {
    this.#forever.delete(vm);
    this.#longer.add(vm);
  }

  /** Milliseconds since the epoch after which the row may be swept away; null: never. */
  untilMs({ id, incident, hold, pending }: VmRow, nowMs: number): number | null {
    const open = incident !== null || hold !== null || pending.length > 0;
    if (open || this.#forever.has(id)) return null;
    return nowMs + (this.#longer.has(id) ? RETIRED_KEPT_MS : REPORTED_KEPT_MS);
  }
}

/** VMs that come and go while vmwarden runs. */
export class Comings {
  readonly #core: Core;
  readonly #watches: Watches;
  readonly #keeping: Keeping;
  readonly #parts: {
    readonly actuator: Actuator;
    readonly ingest: Ingest;
    readonly sightings: Sightings;
  };

  constructor(
    core: Core,
    watches: Watches,
    keeping: Keeping,
    parts: { actuator: Actuator; ingest: Ingest; sightings: Sightings },
  ) {
    this.#core = core;
    this.#watches = watches;
    this.#keeping = keeping;
    this.#parts = parts;
  }

  /** Watches the VM by this driver from now on, in the place of the one that did. */
  async attach(vm: EngineVm): Promise<void> {
    await this.#watches.end(vm.id);
    if (this.#core.stopping) return;
    this.#keeping.keep(vm.id);
    this.#core.roster.drive(vm);
    this.#watches.start(vm);
    this.#parts.actuator.kick(vm.id);
  }

  /**
   * No longer lists a VM that is out of contact; what its budgets and conditions count is kept. False: it is in contact, held, or
   * something is open with it.
   */
  async retire(id: string): Promise<boolean> {
    const { roster, world, health } = this.#core;
    const driven = roster.has(id) ? roster.entry(id).configured : null;
    if (driven === null || !this.#isIdle(id)) return false;
    await this.#watches.end(id);
    this.#parts.ingest.flushDriver(id);
    // What was told last may have opened something.
    const row = world.get(id);
    if (this.#core.stopping || !this.#isIdle(id)) return this.#keep(driven);
    this.#keeping.letGo(id);
    if (row !== undefined) {
      try {
        await world.commit({ kind: 'outcome', records: [], row });
      } catch {
        return this.#keep(driven);
      }
      // Somebody reported of it meanwhile.
      if (world.get(id) !== row) return this.#keep(driven);
    }
    roster.remove(id);
    world.forget(id);
    this.#parts.sightings.forget(id);
    health.up(`vm ${id}`);
    return true;
  }

  #isIdle(id: string): boolean {
    const { roster } = this.#core;
    const { incident, hold, pending } = roster.row(id);
    return (
      roster.entry(id).live.contact !== 'connected' &&
      incident === null &&
      hold === null &&
      pending.length === 0 &&
      this.#parts.sightings.isIdle(id)
    );
  }

  #keep(vm: EngineVm): false {
    this.#keeping.keep(vm.id);
    if (!this.#core.stopping) this.#watches.start(vm);
    return false;
  }
}
