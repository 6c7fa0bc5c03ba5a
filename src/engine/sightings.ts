import { isFault } from '../lib/fault.js';
import type { Inspection, Sighting } from '../vmm/driver.js';
import type { Actuator } from './actuator.js';
import { advance, ranMaybe } from './advance.js';
import { contacted } from './boot.js';
import { type Core, messageOf } from './core.js';
import type { Ingest } from './ingest.js';
import { Intake } from './intake.js';
import { lossRecord, vmRecord } from './records.js';
import { resume } from './resume.js';
import type { VmRow } from './vm-row.js';

type Connected = Extract<Sighting, { kind: 'connected' }>;
type Told = Extract<Sighting, { kind: 'event' }>;

/** Takes in what the drivers see, in order and per VM, and picks up what an earlier life of vmwarden left undone. */
export class Sightings {
  readonly #core: Core;
  readonly #actuator: Actuator;
  readonly #ingest: Ingest;
  /** Names this process, in which a driver's count of boots holds. */
  readonly #life: string;
  readonly #intakes = new Map<string, Intake<Sighting>>();

  constructor(core: Core, actuator: Actuator, ingest: Ingest, life: string) {
    this.#core = core;
    this.#actuator = actuator;
    this.#ingest = ingest;
    this.#life = life;
  }

  take(vm: string, sighting: Sighting): void {
    let intake = this.#intakes.get(vm);
    if (intake === undefined) {
      intake = this.#intake(vm);
      this.#intakes.set(vm, intake);
    }
    intake.push(sighting);
  }

  /** Picks up what no contact will ever come for: a process known to be gone, a VM that nobody drives (any more). */
  begin(): void {
    const { roster } = this.#core;
    for (const vm of roster.ids()) {
      const row = roster.row(vm);
      if (roster.entry(vm).live.contact === 'none') this.#actuator.own(row, true);
      else if (row.seen?.state === 'exited') {
        void this.#resume(vm, { ...row.seen, boots: 0 });
      }
      this.#actuator.kick(vm);
    }
  }

  /** Nothing of what the VM's driver told waits for the journal. */
  isIdle(vm: string): boolean {
    return this.#intakes.get(vm)?.idle ?? true;
  }

  forget(vm: string): void {
    this.#intakes.get(vm)?.close();
    this.#intakes.delete(vm);
  }

  close(): void {
    for (const intake of this.#intakes.values()) intake.close();
  }

  #intake(vm: string): Intake<Sighting> {
    const core = this.#core;
    return new Intake({
      handle: (sighting) => this.#handle(vm, sighting),
      onTrouble: (error) => {
        core.health.degraded(`vm ${vm}`, `events wait for the journal: ${messageOf(error)}`);
        core.log.warn({ vm, error }, 'events wait for the journal');
      },
      onRecovered: (lost) => {
        if (core.roster.entry(vm).live.contact === 'connected') core.health.up(`vm ${vm}`);
        if (lost === 0) return;
        const text = `${lost} sightings came while the journal refused them and memory was full`;
        core.log.error({ vm, lost }, 'events lost');
        core.note(vm, lossRecord(core.clock.now(), vm, 0, 0, text));
      },
    });
  }

  async #handle(vm: string, sighting: Sighting): Promise<void> {
    switch (sighting.kind) {
      case 'event':
        return await this.#event(vm, sighting);
      case 'connected':
        return await this.#connected(vm, sighting);
      case 'disconnected':
        return await this.#disconnected(vm, sighting.reason);
    }
  }

  async #event(vm: string, sighting: Told): Promise<void> {
    const { report, boots, state, earlier = false, onSettled } = sighting;
    const bootId = report.bootId ?? this.#core.roster.row(vm).seen?.bootId ?? '';
    const mayRepeat = onSettled !== undefined;
    try {
      await this.#ingest.take({
        report,
        driver: { boots, life: this.#life, bootId, state, earlier, mayRepeat },
      });
    } catch (error) {
      // Its source said something else before under the same key: asking again changes nothing.
      if (!mayRepeat || !isFault(error) || error.code !== 'ALREADY_EXISTS') throw error;
      onSettled(error);
      return;
    }
    onSettled?.(null);
    // There will be no contact with a process that is gone: what was begun on it ends here.
    if (state === 'exited' && !earlier) {
      await this.#resume(vm, { state, raw: 'exited', bootId, boots });
    }
  }

  async #connected(vm: string, sighting: Connected): Promise<void> {
    const { roster, log, health } = this.#core;
    this.#ingest.flushDriver(vm);
    const entry = roster.entry(vm);
    const { inspection, continuous, warnings, startedToWait } = sighting;
    entry.live = { ...entry.live, contact: 'connected', warnings, startedToWait };
    const before = roster.row(vm);
    await this.#commit(contacted(before, inspection, continuous), continuous);
    health.up(`vm ${vm}`);
    log.info({ vm, state: inspection.raw, bootId: inspection.bootId }, 'VMM connected');
    const view = this.#core.view(roster.row(vm));
    for (const warning of view.warnings) log.warn({ vm }, warning);
    await this.#resume(vm, inspection);
    this.#actuator.kick(vm);
  }

  async #disconnected(vm: string, reason: string): Promise<void> {
    const { roster, log, health } = this.#core;
    const entry = roster.entry(vm);
    entry.live = { ...entry.live, contact: 'lost' };
    health.degraded(`vm ${vm}`, `out of contact: ${reason}`);
    log.warn({ vm, reason }, 'VMM out of contact');
    await this.#commit(roster.row(vm));
  }

  /** An intent that an earlier life left without an outcome: inspected, then run once more, or given up. */
  async #resume(vm: string, inspection: Inspection): Promise<void> {
    const core = this.#core;
    const row = core.roster.row(vm);
    if (!this.#actuator.isLeft(row)) return;
    const found = resume(row, inspection, core.stamp(vm));
    if (found.kind === 'nothing') return;
    core.log.warn(
      { vm, incidentId: row.incident?.id, how: found.kind, state: inspection.raw },
      'step of an earlier life',
    );
    const done = await core.persist(vm, (current) => {
      const now = resume(current, inspection, core.stamp(vm));
      switch (now.kind) {
        case 'nothing':
          return null;
        case 'done':
          return advance(
            ranMaybe(current),
            { outcome: now.outcome, elapsedNs: 0n, path: '' },
            core.stamp(vm),
          );
        case 'again':
        case 'exhausted':
          return now.change;
      }
    });
    if (!done) return;
    this.#actuator.own(core.roster.row(vm), found.kind === 'again');
    this.#actuator.kick(vm);
  }

  async #commit(row: VmRow, continuous?: boolean): Promise<void> {
    const { world, clock } = this.#core;
    const record = vmRecord(clock.now(), this.#core.view(row), continuous);
    await world.commit({ kind: 'outcome', row, records: [record] });
  }
}
