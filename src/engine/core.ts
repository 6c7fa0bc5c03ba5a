import type { Journal } from '../journal/journal.js';
import { backoffMs } from '../lib/backoff.js';
import type { Clock, Moment } from '../lib/clock.js';
import { isFault } from '../lib/fault.js';
import type { Logger } from '../lib/logger.js';
import { modeFor } from '../policy/maintenance.js';
import type { Policy, StormState } from '../policy/policy.js';
import { settle } from '../policy/storm.js';
import type { Change, Stamp } from './answer.js';
import type { Deaths } from './deaths.js';
import type { VmView } from './engine.js';
import type { HostStamp } from './gate.js';
import type { Hold } from './operators.js';
import type { Roster } from './roster.js';
import type { VmRow } from './vm-row.js';
import type { World } from './world.js';

const PERSIST_BASE_MS = 50;
const PERSIST_MAX_MS = 5_000;

/** Where the engine says how its parts are. */
export interface HealthPort {
  up(part: string): void;
  degraded(part: string, reason: string): void;
}

/** What the parts of the engine share. */
export class Core {
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Logger;
  readonly health: HealthPort;
  readonly world: World;
  readonly roster: Roster;
  readonly deaths: Deaths;
  /** Its name in decisions. */
  readonly hostName: string;
  /** Called at named points of an act; for tests that stop the world there. */
  readonly onPoint: (point: string) => void;
  policy: Policy;
  /** null: the host is not held. */
  hostHold: Hold | null;
  stopping = false;

  constructor(
    parts: Pick<
      Core,
      | 'journal'
      | 'clock'
      | 'log'
      | 'health'
      | 'world'
      | 'roster'
      | 'deaths'
      | 'hostName'
      | 'policy'
      | 'hostHold'
      | 'onPoint'
    >,
  ) {
    this.journal = parts.journal;
    this.clock = parts.clock;
    this.log = parts.log;
    this.health = parts.health;
    this.world = parts.world;
    this.roster = parts.roster;
    this.deaths = parts.deaths;
    this.hostName = parts.hostName;
    this.policy = parts.policy;
    this.hostHold = parts.hostHold;
    this.onPoint = parts.onPoint;
  }

  stamp(vm: string): Stamp {
    const now = this.clock.now();
    const identity = this.roster.identity(vm);
    return {
      now,
      journalId: this.journal.id,
      policy: this.policy,
      hostHeld: this.hostHold !== null,
      mode: modeFor(this.policy, identity, now.wallMs),
      labels: identity.labels,
      host: this.#hostStamp(vm, now),
      reachable: this.isReachable(vm),
    };
  }

  #hostStamp(vm: string, now: Moment): HostStamp {
    const { storm, concurrent } = this.policy.safety;
    const isFull = (verb: string, limit: number | null): boolean =>
      limit !== null && this.#acting(verb, vm) >= limit;
    return {
      name: this.hostName,
      vms: this.roster.size,
      dying: storm === null ? 0 : this.deaths.countOthers(vm, storm.withinMs, now),
      // As time has it now, whether or not that was journaled: so a replay finds the same.
      storm: settle(this.world.storm, storm, now),
      full: {
        restarts: isFull('restart', concurrent.restarts),
        dumps: isFull('dump', concurrent.dumps),
      },
    };
  }

  /** On other VMs; what was begun on one that is out of contact takes nothing of the host. */
  #acting(verb: string, vm: string): number {
    return this.world.acting(verb).filter((other) => other !== vm && this.isReachable(other))
      .length;
  }

  /** A VMM that is out of contact may come back; one that has ended will not, and its driver says so at once. */
  isReachable(vm: string): boolean {
    const { contact } = this.roster.entry(vm).live;
    return contact !== 'lost' || this.world.get(vm)?.seen?.state === 'exited';
  }

  view(row: VmRow): VmView {
    return this.roster.view(row, this.policy, this.clock.now());
  }

  /**
   * Journals what `build` makes of the VM's row as it then is, again and again until it is durable. False: the engine
   * or the journal stopped first, so it is not.
   */
  async persist(
    vm: string,
    build: (row: VmRow) => Change | null,
    storm?: StormState,
  ): Promise<boolean> {
    for (let tries = 1; ; tries += 1) {
      const change = build(this.roster.row(vm));
      if (change === null) {
        this.#waitsNoMore(vm, tries);
        return true;
      }
      const { incidentId } = change.records[0] ?? {};
      try {
        await this.world.commit({
          kind: 'outcome',
          row: change.row,
          records: change.records,
          ...(storm !== undefined && { storm }),
        });
        this.#waitsNoMore(vm, tries);
        return true;
      } catch (error) {
        this.log.error({ vm, incidentId, error }, 'outcome not journaled yet');
        this.health.degraded(`vm ${vm}`, `an outcome waits for the journal: ${messageOf(error)}`);
        if (this.stopping || (isFault(error) && error.reason === 'JOURNAL_CLOSED')) return false;
        const waitMs = backoffMs(tries, PERSIST_BASE_MS, PERSIST_MAX_MS);
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }
  }

  #waitsNoMore(vm: string, tries: number): void {
    if (tries > 1 && this.roster.entry(vm).live.contact === 'connected') this.health.up(`vm ${vm}`);
  }

  /** Journals a record that may be missed. */
  note(vm: string, record: Change['records'][number]): void {
    this.world.commit({ kind: 'outcome', records: [record] }).catch((error: unknown) => {
      this.log.warn({ vm, incidentId: record.incidentId, error }, 'record missed');
    });
  }
}

export const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);
