import type { Moment } from '../lib/clock.js';
import type { Policy } from '../policy/policy.js';
import type { VmIdentity } from '../policy/selector.js';
import type { Driver } from '../vmm/driver.js';
import type { VmView } from './engine.js';
import { rowOf, type VmRow } from './vm-row.js';
import { type VmLive, vmView } from './vm-view.js';
import type { World } from './world.js';

/** A VM of the configuration or found by it, with the driver that was made for it. */
export interface EngineVm {
  readonly id: string;
  readonly uid: string;
  /** Default: none. */
  readonly labels?: VmIdentity['labels'];
  readonly driver: Driver;
  readonly takeOver: boolean;
}

export interface RosterEntry {
  /** null: only reporters know this VM. */
  readonly configured: EngineVm | null;
  readonly driver: Driver;
  live: VmLive;
}

const NO_LABELS: VmIdentity['labels'] = {};

/** All VMs of this host: those of the configuration, and those that reporters brought in. */
export class Roster {
  readonly #world: World;
  readonly #observer: Driver;
  readonly #entries = new Map<string, RosterEntry>();

  constructor(world: World, observer: Driver, configured: readonly EngineVm[]) {
    this.#world = world;
    this.#observer = observer;
    for (const vm of configured) this.#add(vm.id, vm);
    for (const id of world.ids()) this.entry(id);
  }

  has(id: string): boolean {
    return this.#entries.has(id);
  }

  get size(): number {
    return this.#entries.size;
  }

  ids(): readonly string[] {
    return [...this.#entries.keys()].sort();
  }

  /** Takes the VM in when it is new. */
  entry(id: string): RosterEntry {
    return this.#entries.get(id) ?? this.#add(id, null);
  }

  /** From now on this is how the VM is driven. */
  drive(vm: EngineVm): void {
    this.#add(vm.id, vm);
  }

  /** Lists it no more. */
  remove(id: string): void {
    this.#entries.delete(id);
  }

  /** As selectors and conditions know it. */
  identity(id: string): VmIdentity {
    const configured = this.#entries.get(id)?.configured ?? null;
    const uid = configured?.uid ?? this.#world.get(id)?.uid ?? '';
    return { id, uid, labels: configured?.labels ?? NO_LABELS };
  }

  /** The VM's row, a fresh one for a VM never seen and for one whose uid says that it was made anew. */
  row(id: string, reportedUid = ''): VmRow {
    return this.#named(id, this.#world.get(id), reportedUid);
  }

  /** The same without what is still on its way to the journal. */
  durableRow(id: string): VmRow {
    return this.#named(id, this.#world.durable(id), '');
  }

  #named(id: string, row: VmRow | undefined, reportedUid: string): VmRow {
    // A reporter's uid never replaces what is kept of a VM that its operator has named.
    const configured = this.#entries.get(id)?.configured;
    const uid = configured?.uid ?? reportedUid;
    return rowOf(id, row, uid);
  }

  view(row: VmRow, policy: Policy, now: Moment): VmView {
    return vmView(row, this.entry(row.id).live, policy, now);
  }

  #add(id: string, configured: EngineVm | null): RosterEntry {
    this.#world.recall(id);
    const driver = configured?.driver ?? this.#observer;
    const contact = driver.kind === 'observe' ? 'none' : 'lost';
    const entry = {
      configured,
      driver,
      live: {
        driver: driver.kind,
        contact,
        warnings: [],
        startedToWait: null,
        takeOver: configured?.takeOver ?? false,
        labels: configured?.labels ?? NO_LABELS,
        abilities: driver.capabilities().verbs,
      } as VmLive,
    };
    this.#entries.set(id, entry);
    return entry;
  }
}
