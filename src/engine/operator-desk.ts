import type { RowWrite } from '../journal/journal.js';
import type { Moment } from '../lib/clock.js';
import { Fault } from '../lib/fault.js';
import { withDeadline } from '../lib/with-deadline.js';
import type { StormState } from '../policy/policy.js';
import type { Inspection } from '../vmm/driver.js';
import type { Actuator } from './actuator.js';
import type { Change } from './answer.js';
import { type Core, messageOf } from './core.js';
import { arrivalOfDown, unseen } from './found-down.js';
import type { By } from './operators.js';
import { operatorRecord, vmRecord } from './records.js';
import { Requests } from './requests.js';
import { takeIn } from './take-in.js';
import type { VmRow } from './vm-row.js';

/** A VMM that has not answered by then is out of reach. */
const INSPECT_MS = 5_000;

/** What a guest that was looked at gets for an answer. */
export interface LookedAt {
  readonly change: Change;
  /** In a sentence. */
  readonly found: string;
  /** It was found dead, which nobody had asked for; absent: not so. */
  readonly diedAt?: Moment;
  /** What that makes of the storm guard; absent: nothing new. */
  readonly storm?: StormState;
}

/** What all requests of operators need. */
export class OperatorDesk {
  readonly core: Core;
  readonly actuator: Actuator;
  /** The drivers' life, in which `Inspection.boots` counts. */
  readonly life: string;
  readonly requests: Requests;

  constructor(core: Core, actuator: Actuator, life: string) {
    this.core = core;
    this.actuator = actuator;
    this.life = life;
    this.requests = new Requests(core);
  }

  /** A change with an intent of this life's own is durable. */
  begun(row: VmRow): void {
    this.actuator.own(row, false);
    this.actuator.kick(row.id);
  }

  /** `before`: records of the same commit that come first. */
  answerDown(row: VmRow, inspection: Inspection | null, before: number): LookedAt {
    const nothing: Change = { row, records: [] };
    if (this.core.roster.entry(row.id).driver.kind === 'observe') {
      return {
        change: nothing,
        found: 'only reporters tell of this VM; its next event is answered',
      };
    }
    if (inspection === null) {
      const found = 'its VMM is out of reach; what the next contact finds is answered';
      return { change: { row: unseen(row), records: [] }, found };
    }
    if (row.incident !== null) {
      return { change: nothing, found: openText(row.incident) };
    }
    const arrival = arrivalOfDown(row, inspection, this.life);
    if (arrival === null) {
      return {
        change: nothing,
        found: `the guest is ${inspection.raw}; its next event is answered`,
      };
    }
    const stamp = this.core.stamp(row.id);
    const taken = takeIn(row, arrival, null, this.core.world.next + before, stamp);
    const { incident } = taken.row;
    const found =
      incident === null
        ? `the guest is ${inspection.raw}; the policy answers with nothing to do`
        : `the guest is ${inspection.raw}; ${incident.plan.map(({ verb }) => verb).join(', ')} by rule ${incident.rule || 'otherwise'}`;
    return {
      change: taken,
      found,
      ...(taken.death && { diedAt: stamp.now }),
      ...(taken.storm !== stamp.host.storm && { storm: taken.storm }),
    };
  }

  /** A guest found down is a death like one told: the storm guard has it from here on, not from when it is durable. */
  async commitLook(
    { change, diedAt, storm }: LookedAt,
    rows: readonly RowWrite[],
    records: Change['records'] = change.records,
  ): Promise<void> {
    const { row } = change;
    if (diedAt !== undefined) this.core.deaths.note(row.id, diedAt);
    await this.core.world.commit({
      kind: 'outcome',
      row,
      records,
      rows,
      ...(storm !== undefined && { storm }),
    });
  }

  known(vm: string) {
    const { roster } = this.core;
    if (!roster.has(vm)) throw vmUnknown(vm);
    return { row: roster.row(vm), driver: roster.entry(vm).driver };
  }

  /** The row of a VM on which nothing is open. */
  free(vm: string): VmRow {
    const { row } = this.known(vm);
    if (row.incident === null) return row;
    const { id, plan, index, step } = row.incident;
    const how = step.kind === 'planned' ? 'waits' : 'is under way';
    throw new Fault(
      'FAILED_PRECONDITION',
      'VM_BUSY',
      `${plan[index]?.verb} of incident ${id} ${how} on VM ${vm}; cancel it first, or wait`,
      { retryAfterMs: 1_000, metadata: { vm, incidentId: id } },
    );
  }

  async inspect(vm: string): Promise<Inspection> {
    const { driver } = this.known(vm);
    const outOfReach = (why: string): Fault =>
      new Fault('UNAVAILABLE', 'VM_OUT_OF_REACH', `the VMM of ${vm} can't be asked: ${why}`, {
        retryAfterMs: 5_000,
        metadata: { vm },
      });
    const inspection = await withDeadline(
      INSPECT_MS,
      driver.inspect(AbortSignal.timeout(INSPECT_MS)),
    ).catch((error: unknown) => {
      throw outOfReach(messageOf(error));
    });
    if (inspection === undefined) throw outOfReach(`no answer within ${INSPECT_MS} ms`);
    return inspection;
  }

  /** null: out of reach. */
  async look(vm: string): Promise<Inspection | null> {
    return this.inspect(vm).catch(() => null);
  }

  record(
    vm: string,
    verb: string,
    by: By,
    more: { readonly incident?: string; readonly detail?: string; readonly budget?: string } = {},
  ) {
    const { incident = '', ...rest } = more;
    this.core.log.info({ vm, verb, actor: by.actor, reason: by.reason }, 'operator');
    return operatorRecord(this.core.clock.now(), vm, { ...by, verb, ...rest }, incident);
  }

  withState({ row, records }: Change): Change {
    return { row, records: [...records, vmRecord(this.core.clock.now(), this.core.view(row))] };
  }

  async commit({ row, records }: Change, rows: readonly RowWrite[]): Promise<void> {
    await this.core.world.commit({ kind: 'outcome', row, records, rows });
  }
}

const openText = ({ id, calledOff }: NonNullable<VmRow['incident']>): string =>
  calledOff === undefined
    ? `incident ${id} is open and goes on`
    : `incident ${id} was cancelled by ${calledOff.actor} and ends with the step that is under way`;

export const vmUnknown = (vm: string): Fault =>
  new Fault('NOT_FOUND', 'VM_UNKNOWN', `no VM ${vm} here; \`vmwarden vms\` lists them`, {
    metadata: { vm },
  });
