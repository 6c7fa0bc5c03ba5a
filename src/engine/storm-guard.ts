import type { StormState } from '../policy/policy.js';
import { CALM, settle } from '../policy/storm.js';
import type { Core } from './core.js';

/** How often time is looked at while it isn't calm. */
const LOOK_EVERY_MS = 500;

/**
 * Ends a storm as time goes by, and then lets the restarts that waited go, the longest waiting first. What opens one is the
 * commit of the death that makes it (`takeIn`).
 */
export class StormGuard {
  readonly #core: Core;
  readonly #kick: (vm: string) => void;
  readonly #timer: NodeJS.Timeout;
  #told: StormState['kind'] = 'calm';
  #writing = false;

  constructor(core: Core, kick: (vm: string) => void) {
    this.#core = core;
    this.#kick = kick;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { world, policy, clock } = this.#core;
    const before = world.storm;
    this.#tell(before);
    if (before.kind === 'calm' || this.#writing) return;
    const now = settle(before, policy.safety.storm, clock.now());
    if (now.kind !== 'draining') return;
    const held = this.#held();
    const next = held.length === 0 ? CALM : now;
    if (next !== before) this.#write(next);
    const first = held.find((vm) => this.#core.isReachable(vm));
    if (first !== undefined) this.#kick(first);
  }

  /** In the order in which they died. */
  #held(): readonly string[] {
    const { world } = this.#core;
    return world
      .ids()
      .flatMap((vm) => {
        const incident = world.get(vm)?.incident ?? null;
        return incident?.waitsFor === 'STORM' ? [{ vm, sequence: incident.facts.sequence }] : [];
      })
      .sort((a, b) => a.sequence - b.sequence)
      .map(({ vm }) => vm);
  }

  #write(storm: StormState): void {
    this.#writing = true;
    this.#core.world
      .commit({ kind: 'outcome', records: [], storm })
      // Tried again at the next look.
      .catch((error: unknown) => this.#core.log.warn({ error }, 'the storm is not journaled yet'))
      .finally(() => {
        this.#writing = false;
      });
  }

  #tell({ kind }: StormState): void {
    if (kind === this.#told) return;
    this.#told = kind;
    const { health, log } = this.#core;
    switch (kind) {
      case 'on':
        health.degraded('storm', 'many VMs died at once: restarts wait until it has been quiet');
        log.error({}, 'storm: many VMs died at once, restarts wait');
        return;
      case 'draining':
        health.degraded('storm', 'over; the restarts that waited go one by one');
        log.warn({}, 'storm over, the restarts that waited go one by one');
        return;
      case 'calm':
        health.up('storm');
        log.info({}, 'storm over, nothing waits any more');
    }
  }
}
