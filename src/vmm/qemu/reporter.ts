import { randomUUID } from 'node:crypto';
import type { VmConfig } from '../../config/config.js';
import { vmmEvent } from '../../event/vmm-event.js';
import type { Watch } from '../driver.js';
import type { Told } from './view.js';

/** Tells what one connection has seen, numbered, so that a repeat is known again. */
export class Reporter {
  readonly #vm: VmConfig;
  readonly #watch: Watch;
  readonly #bootId: string;
  readonly #instance: string;
  #sequence = 0n;

  constructor(vm: VmConfig, watch: Watch, bootId: string) {
    this.#vm = vm;
    this.#watch = watch;
    this.#bootId = bootId;
    this.#instance = `${bootId}:${randomUUID()}`;
  }

  tell(told: Told, boots: number, reconciled: boolean): void {
    this.#sequence += 1n;
    this.#watch.onSighting({
      kind: 'event',
      report: {
        vm: this.#vm.id,
        uid: this.#vm.uid,
        event: vmmEvent(told.type, told.facts),
        origin: 'qmp',
        initiator: told.initiator,
        bootId: this.#bootId,
        key: {
          kind: 'sequence',
          source: 'qmp',
          instance: this.#instance,
          sequence: this.#sequence,
        },
        occurredAtMs: told.occurredAtMs,
        reconciled,
      },
      boots,
      state: told.state,
    });
  }
}
