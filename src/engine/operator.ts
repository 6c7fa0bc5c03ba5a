import { Fault } from '../lib/fault.js';
import { HostOperator } from './host-operator.js';
import { callOff, led, letGo, openAct } from './operator-change.js';
import type { OperatorDesk } from './operator-desk.js';
import type { ActAsked, Asked, By, Hold, Operators } from './operators.js';
import { vmRecord } from './records.js';
import type { VmRow } from './vm-row.js';

/** Carries out what operators ask for: see Operators. */
export class Operator implements Operators {
  readonly #desk: OperatorDesk;
  readonly #host: HostOperator;

  constructor(desk: OperatorDesk) {
    this.#desk = desk;
    this.#host = new HostOperator(desk);
  }

  act(vm: string, asked: ActAsked, by: By): Promise<Asked> {
    const { verb, timeoutMs } = asked;
    return this.#desk.requests.once(['act', vm, verb, timeoutMs], by, async (keep) => {
      const { world } = this.#desk.core;
      const { driver } = this.#desk.known(vm);
      const ability = driver.capabilities().verbs[verb];
      if (!ability.able) {
        const text = `${verb} can't be done on VM ${vm}: ${ability.reason}`;
        throw new Fault('FAILED_PRECONDITION', 'VERB_UNSUPPORTED', text, {
          metadata: { vm, verb },
        });
      }
      this.#desk.free(vm);
      const inspection = await this.#desk.inspect(vm);
      // Something may have begun meanwhile.
      const row = this.#desk.free(vm);
      const place = { sequence: world.next, life: this.#desk.life };
      const change = openAct(row, asked, by, inspection, place, this.#desk.core.stamp(vm));
      const incident = change.row.incident?.id ?? '';
      const answer = { sequence: place.sequence, incident, detail: '' };
      await this.#desk.commit(change, keep(answer));
      this.#desk.begun(change.row);
      return answer;
    });
  }

  cancel(vm: string, wanted: string, by: By): Promise<Asked> {
    return this.#desk.requests.once(['cancel', vm, wanted], by, async (keep) => {
      const { incident } = this.#desk.known(vm).row;
      if (incident === null) {
        const text = `nothing is open on VM ${vm}`;
        throw new Fault('FAILED_PRECONDITION', 'NOTHING_TO_CANCEL', text, { metadata: { vm } });
      }
      if (wanted !== '' && wanted !== incident.id) {
        const text = `incident ${incident.id} is open on VM ${vm}, not ${wanted}`;
        throw new Fault('FAILED_PRECONDITION', 'OTHER_INCIDENT', text, {
          metadata: { vm, incidentId: incident.id },
        });
      }
      const answer = { sequence: this.#desk.core.world.next, incident: incident.id, detail: '' };
      const off = callOff(this.#desk.known(vm).row, 'cancel', by, this.#desk.core.stamp(vm));
      await this.#desk.commit(
        led(this.#desk.record(vm, 'cancel', by, { incident: incident.id }), off),
        keep(answer),
      );
      this.#desk.actuator.callOff(vm, incident.id);
      this.#desk.actuator.kick(vm);
      return answer;
    });
  }

  hold(vm: string, by: By): Promise<Asked> {
    return this.#desk.requests.once(['hold', vm], by, async (keep) => {
      const { row } = this.#desk.known(vm);
      if (row.hold !== null) {
        const text = `VM ${vm} is held already: ${row.hold.reason}`;
        throw new Fault('FAILED_PRECONDITION', 'VM_HELD', text, { metadata: { vm } });
      }
      const stamp = this.#desk.core.stamp(vm);
      const held: VmRow = {
        ...row,
        hold: { at: stamp.now, reason: by.reason, actor: by.actor },
      };
      const incident = row.incident?.id ?? '';
      const off = callOff(held, 'hold', by, stamp);
      const answer = { sequence: this.#desk.core.world.next, incident, detail: '' };
      const change = led(this.#desk.record(vm, 'hold', by, { incident }), off);
      await this.#desk.commit(this.#desk.withState(change), keep(answer));
      this.#desk.actuator.kick(vm);
      return answer;
    });
  }

  release(vm: string, by: By): Promise<Asked> {
    return this.#desk.requests.once(['release', vm], by, async (keep) => {
      if (this.#desk.known(vm).row.hold === null) throw notHeld(vm);
      const inspection = await this.#desk.look(vm);
      const { row } = this.#desk.known(vm);
      if (row.hold === null) throw notHeld(vm);
      const { now } = this.#desk.core.stamp(vm);
      const released = letGo(row);
      const looked = this.#desk.answerDown(released, inspection, 2);
      const { change, found } = looked;
      const sequence = this.#desk.core.world.next;
      const incident = change.row.incident?.id ?? '';
      const answer = { sequence, incident, detail: found };
      const record = this.#desk.record(vm, 'release', by, { incident, detail: found });
      const records = [record, vmRecord(now, this.#desk.core.view(released)), ...change.records];
      await this.#desk.commitLook(looked, keep(answer), records);
      this.#desk.begun(change.row);
      return answer;
    });
  }

  resetBudget(vm: string, budget: string, by: By): Promise<Asked> {
    return this.#desk.requests.once(['resetBudget', vm, budget], by, async (keep) => {
      const { row } = this.#desk.known(vm);
      const { policy, world } = this.#desk.core;
      if (
        budget !== '' &&
        !Object.hasOwn(row.attempts, budget) &&
        !Object.hasOwn(policy.budgets, budget)
      ) {
        const text = `the policy has no budget ${budget}, and VM ${vm} has used none of that name`;
        throw new Fault('NOT_FOUND', 'BUDGET_UNKNOWN', text, { metadata: { vm } });
      }
      const kept = Object.entries(row.attempts).filter(
        ([name]) => budget !== '' && name !== budget,
      );
      const gone = Object.entries(row.attempts)
        .filter(([name]) => budget === '' || name === budget)
        .map(([name, attempts]) => `${name}: ${attempts.length}`);
      const detail = gone.length === 0 ? 'no attempt was counted' : `attempts forgotten: ${gone}`;
      const answer = { sequence: world.next, incident: '', detail };
      const records = [this.#desk.record(vm, 'resetBudget', by, { detail, budget })];
      const reset: VmRow = { ...row, attempts: Object.fromEntries(kept) };
      await this.#desk.commit({ row: reset, records }, keep(answer));
      return answer;
    });
  }

  hostHold(): Hold | null {
    return this.#desk.core.hostHold;
  }

  holdHost(by: By): Promise<Asked> {
    return this.#host.hold(by);
  }

  releaseHost(by: By): Promise<Asked> {
    return this.#host.release(by);
  }
}

const notHeld = (vm: string): Fault =>
  new Fault('FAILED_PRECONDITION', 'VM_NOT_HELD', `VM ${vm} is not held`, { metadata: { vm } });
