import { Fault } from '../lib/fault.js';
import type { Core } from './core.js';
import { unseen } from './found-down.js';
import { encodeHostHold, HOST_HOLD_ROW, HOST_RELEASED_ROW } from './host-hold.js';
import type { OperatorDesk } from './operator-desk.js';
import type { Asked, By } from './operators.js';

/** VMs of a released host that are inspected at the same time. */
const LOOKS_AT_ONCE = 8;

const RELEASED = Buffer.from('1');

const forgetRelease = async (core: Core): Promise<void> => {
  const rows = [{ key: HOST_RELEASED_ROW, value: null }];
  await core.world.commit({ kind: 'outcome', records: [], rows });
};

/**
 * An earlier life released the host, and ended before it had looked at each guest: the first contact of this one tells of
 * those that are down, as if nobody had seen them before. Called before the drivers start.
 */
export const resumeRelease = async (core: Core): Promise<void> => {
  if (core.journal.lookup(HOST_RELEASED_ROW) === undefined) return;
  for (const id of core.roster.ids()) {
    const row = core.roster.row(id);
    const again = unseen(row);
    if (again === row || row.hold !== null || row.incident !== null) continue;
    // What was answered while the host was held was answered with nothing.
    await core.world.commit({ kind: 'outcome', row: { ...again, answered: null }, records: [] });
  }
  await forgetRelease(core);
};

/** The host's hold. */
export class HostOperator {
  readonly #desk: OperatorDesk;
  /** Of this life. */
  #releases = 0;

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
          rows: [
            { key: HOST_HOLD_ROW, value: encodeHostHold(hold) },
            { key: HOST_RELEASED_ROW, value: null },
            ...keep(answer),
          ],
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
          rows: [
            { key: HOST_HOLD_ROW, value: null },
            { key: HOST_RELEASED_ROW, value: RELEASED },
            ...keep(answer),
          ],
        });
      } catch (error) {
        core.hostHold = hold;
        throw error;
      }
      this.#releases += 1;
      void this.#afterRelease(this.#releases);
      return answer;
    });
  }

  async #afterRelease(release: number): Promise<void> {
    const core = this.#desk.core;
    const all = await this.#answerAllDown();
    // Of a host that is held again, or was released once more, it is not for this one to say that it is done.
    if (!all || core.stopping || core.hostHold !== null || release !== this.#releases) return;
    try {
      await forgetRelease(core);
    } catch (error) {
      core.log.error({ error }, 'the next start looks at the guests of the released host again');
    }
  }

  /** Puts each guest that is down and waits for nothing to the policy. False: not each could be. */
  async #answerAllDown(): Promise<boolean> {
    let all = true;
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
          all = false;
          this.#desk.core.log.error({ vm, error }, 'not looked at after the release of the host');
        }
      }
    };
    await Promise.all(Array.from({ length: LOOKS_AT_ONCE }, one));
    return all;
  }
}
