import { Fault } from '../lib/fault.js';
import { encodeHostHold, HOST_HOLD_ROW } from './host-hold.js';
import type { OperatorDesk } from './operator-desk.js';
import type { Asked, By } from './operators.js';

/** VMs of a released host that are inspected at the same time. */
const LOOKS_AT_ONCE = 8;

/** The host's hold. */
export class HostOperator {
  readonly #desk: OperatorDesk;

  constructor(desk: OperatorDesk) {
    this.#desk = desk;
  }

  hold(by: By): Promise<Asked> {
    return this.#desk.requests.once(['holdHost'], by, async (keep) => {
      const core = this.#desk.core;
      if (core.hostHold !== null) {
        const { actor, reason } = core.hostHold;
        const text = `the host is held already by ${actor}: ${reason}`;
        throw new Fault('FAILED_PRECONDITION', 'HOST_HELD', text);
      }
      const hold = { atMs: core.clock.now().wallMs, actor: by.actor, reason: by.reason };
      const answer = { sequence: core.world.next, incident: '', detail: '' };
      // From now on, not from when it is durable: what is decided meanwhile is behind it in the journal.
      core.hostHold = hold;
      try {
        await core.world.commit({
          kind: 'outcome',
          records: [this.#desk.record('', 'holdHost', by)],
          rows: [{ key: HOST_HOLD_ROW, value: encodeHostHold(hold) }, ...keep(answer)],
        });
      } catch (error) {
        core.hostHold = null;
        throw error;
      }
      // Steps that wait are called off as their time is looked at.
      for (const id of core.roster.ids()) this.#desk.actuator.kick(id);
      return answer;
    });
  }

  release(by: By): Promise<Asked> {
    return this.#desk.requests.once(['releaseHost'], by, async (keep) => {
      const core = this.#desk.core;
      if (core.hostHold === null) {
        throw new Fault('FAILED_PRECONDITION', 'HOST_NOT_HELD', 'the host is not held');
      }
      const answer = { sequence: core.world.next, incident: '', detail: '' };
      const hold = core.hostHold;
      // As above; what is begun meanwhile fails with this commit, should that fail.
      core.hostHold = null;
      try {
        await core.world.commit({
          kind: 'outcome',
          records: [this.#desk.record('', 'releaseHost', by)],
          rows: [{ key: HOST_HOLD_ROW, value: null }, ...keep(answer)],
        });
      } catch (error) {
        core.hostHold = hold;
        throw error;
      }
      void this.#answerAllDown();
      return answer;
    });
  }

  /** Puts each guest that is down and waits for nothing to the policy. */
  async #answerAllDown(): Promise<void> {
    const waiting = [...this.#desk.core.roster.ids()];
    const one = async (): Promise<void> => {
      for (let vm = waiting.pop(); vm !== undefined; vm = waiting.pop()) {
        try {
          const inspection = await this.#desk.look(vm);
          const row = this.#desk.core.roster.row(vm);
          if (row.hold !== null || row.incident !== null || this.#desk.core.hostHold !== null)
            continue;
          const looked = this.#desk.answerDown({ ...row, answered: null }, inspection, 0);
          const { change } = looked;
          if (change.records.length === 0 && change.row === row) continue;
          await this.#desk.commitLook(looked, []);
          this.#desk.begun(change.row);
        } catch (error) {
          this.#desk.core.log.error({ vm, error }, 'not looked at after the release of the host');
        }
      }
    };
    await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, one));
  }
}
