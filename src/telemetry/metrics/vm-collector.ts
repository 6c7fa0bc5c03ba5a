import type { VmView } from '../../engine/engine.js';
import { own } from '../../policy/budget.js';
import type { Policy } from '../../policy/policy.js';
import { byWord, type Collector, sample } from './collector.js';
import type { Sample } from './instruments.js';

export interface VmCollectorParts {
  readonly survey: () => Iterable<VmView>;
  readonly policy: () => Policy;
  /** Series of single VMs, at most. */
  readonly maxSeries: number;
}

/** VMs looked at before the loop goes on with what else there is. */
const AT_ONCE = 200;

const PHASES = ['well', 'waiting', 'acting', 'held', 'down'] as const;
const CONTACTS = ['connected', 'lost', 'none'] as const;

interface Left {
  readonly vm: string;
  readonly budget: string;
  readonly left: number;
}

export const vmCollector = (parts: VmCollectorParts): Collector => ({
  group: 'vms',
  collect: async () => {
    const census = new Census(parts.policy());
    let seen = 0;
    for (const view of parts.survey()) {
      census.take(view);
      seen += 1;
      if (seen % AT_ONCE === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    return census.samples(parts.maxSeries);
  },
});

class Census {
  readonly #phases = new Map<VmView['phase'], number>();
  readonly #contacts = new Map<VmView['contact'], number>();
  readonly #budgets: Map<string, { min: number; exhausted: number }>;
  readonly #left: Left[] = [];
  #incidents = 0;
  #waiting = 0;
  #nextMs = Number.POSITIVE_INFINITY;

  constructor({ budgets }: Policy) {
    this.#budgets = new Map(
      Object.keys(budgets).map((name) => {
        const limits = own(budgets, name)?.limits ?? [];
        const min = Math.min(...limits.map(({ attempts }) => attempts));
        return [name, { min, exhausted: 0 }];
      }),
    );
  }

  take({ id, phase, contact, incident, nextAttemptMs, budgets }: VmView): void {
    this.#phases.set(phase, (this.#phases.get(phase) ?? 0) + 1);
    this.#contacts.set(contact, (this.#contacts.get(contact) ?? 0) + 1);
    if (incident !== '') this.#incidents += 1;
    if (nextAttemptMs !== null) {
      this.#waiting += 1;
      this.#nextMs = Math.min(this.#nextMs, nextAttemptMs);
    }
    for (const { name, used, limit } of budgets) {
      const left = Math.max(0, limit.attempts - used);
      this.#left.push({ vm: id, budget: name, left });
      const all = this.#budgets.get(name);
      if (all === undefined) continue;
      all.min = Math.min(all.min, left);
      if (left === 0) all.exhausted += 1;
    }
  }

  samples(maxSeries: number): readonly Sample[] {
    const budgets = [...this.#budgets];
    // Of equals always the same ones, so that their series go on from scrape to scrape.
    const shown = this.#left
      .sort((a, b) => a.left - b.left || (a.vm < b.vm ? -1 : 1))
      .slice(0, maxSeries);
    return [
      ...byWord('vmwarden_vms', 'phase', PHASES, (phase) => this.#phases.get(phase) ?? 0),
      ...byWord('vmwarden_vm_contacts', 'contact', CONTACTS, (contact) => {
        return this.#contacts.get(contact) ?? 0;
      }),
      sample('vmwarden_vms_held', this.#phases.get('held') ?? 0),
      sample('vmwarden_incidents_open', this.#incidents),
      sample('vmwarden_steps_waiting', this.#waiting),
      ...(this.#nextMs === Number.POSITIVE_INFINITY
        ? []
        : [sample('vmwarden_next_attempt_timestamp_seconds', this.#nextMs / 1000)]),
      ...budgets.flatMap(([budget, { min, exhausted }]) => [
        sample('vmwarden_budget_attempts_left_min', min, { budget }),
        sample('vmwarden_budget_exhausted_vms', exhausted, { budget }),
      ]),
      ...shown.map(({ vm, budget, left }) =>
        sample('vmwarden_vm_budget_attempts_left', left, { vm, budget }),
      ),
      sample('vmwarden_vm_series_omitted', this.#left.length - shown.length),
    ];
  }
}
