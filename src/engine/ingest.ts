import type { EventReport } from '../event/report.js';
import type { Record } from '../gen/vmwarden/v1/record.js';
import { Fault } from '../lib/fault.js';
import type { Actuator } from './actuator.js';
import type { Admission, Arrival } from './admit.js';
import type { Stamp } from './answer.js';
import type { Core } from './core.js';
import type { Receipt } from './engine.js';
import { type Bundle, driverLane, Folder } from './fold.js';
import {
  decodeKnown,
  encodeKnown,
  KEY_KEPT_MS,
  type KnownReport,
  reportDigest,
  reportRowKey,
} from './report-key.js';
import { takeIn } from './take-in.js';
import { markUnstated } from './unstated.js';
import type { Facts, VmRow } from './vm-row.js';

/** VMs that reporters may bring in without an entry in the configuration. */
const MAX_VMS = 10_000;

/** Takes events in: known ones get their first answer, new ones are admitted, decided and journaled in one commit. */
export class Ingest {
  readonly #core: Core;
  readonly #actuator: Actuator;
  readonly #folder: Folder;
  /** Keyed reports whose commit is under way, by row key. */
  readonly #arriving = new Map<string, { digest: string; receipt: Promise<Receipt> }>();

  constructor(core: Core, actuator: Actuator) {
    this.#core = core;
    this.#actuator = actuator;
    this.#folder = new Folder(core.clock, (bundle) => this.#admit(bundle));
  }

  /** Resolves when the event is durable. Faults: see Engine.report. */
  async take(arrival: Arrival): Promise<Receipt> {
    // A driver's events come in order and are journaled to the last; most drivers tell each once.
    if (arrival.driver !== null && !arrival.driver.mayRepeat) {
      return await this.#folder.offer(arrival);
    }
    if (this.#core.stopping && arrival.driver === null) {
      throw new Fault('UNAVAILABLE', 'STOPPING', 'vmwarden is stopping', { retryAfterMs: 5000 });
    }
    this.#checkVm(arrival.report);
    const repeat = this.#repeat(arrival.report);
    if (repeat !== null) return await repeat;
    const receipt = this.#folder.offer(arrival);
    this.#remember(arrival.report, receipt);
    return await receipt;
  }

  /** Admits what waits for a place in a VM's rate. */
  flush(): void {
    this.#folder.flush();
  }

  /** The same for what the VM's driver told: what comes next must not overtake it. */
  flushDriver(vm: string): void {
    this.#folder.flush(driverLane(vm));
  }

  #checkVm({ vm, uid }: EventReport): void {
    const { roster } = this.#core;
    const known = roster.has(vm);
    const configured = known ? (roster.entry(vm).configured?.uid ?? '') : '';
    if (uid !== '' && configured !== '' && uid !== configured) {
      throw new Fault('FAILED_PRECONDITION', 'UID_MISMATCH', `VM ${vm} is another one here`, {
        violations: [{ field: 'vm_uid', value: uid, expected: configured }],
      });
    }
    if (!known && roster.size >= MAX_VMS) {
      const text = `at most ${MAX_VMS} VMs are kept, ${vm} is one more`;
      throw new Fault('RESOURCE_EXHAUSTED', 'TOO_MANY_VMS', text);
    }
  }

  /** The first answer, when the report is known already. */
  #repeat(report: EventReport): Promise<Receipt> | null {
    const rowKey = reportRowKey(report);
    if (rowKey === null) return null;
    const digest = reportDigest(report);
    const arriving = this.#arriving.get(rowKey);
    if (arriving !== undefined) {
      if (arriving.digest !== digest) throw conflict(report);
      return arriving.receipt.then((receipt) => ({ ...receipt, repeat: true }));
    }
    const stored = this.#core.journal.lookup(rowKey);
    if (stored === undefined) return null;
    const { sequence, disposition, digest: first } = decodeKnown(stored);
    if (first !== digest) throw conflict(report);
    const event = report.bootId === null ? markUnstated(report.event) : report.event;
    return Promise.resolve({ sequence, event, disposition, repeat: true });
  }

  #remember(report: EventReport, receipt: Promise<Receipt>): void {
    const rowKey = reportRowKey(report);
    if (rowKey === null) return;
    this.#arriving.set(rowKey, { digest: reportDigest(report), receipt });
    const forget = (): void => void this.#arriving.delete(rowKey);
    receipt.then(forget, forget);
  }

  /** One commit: the event, its decision and its first intent. */
  async #admit({ arrival, fold, keyed }: Bundle): Promise<Receipt> {
    const { world, roster } = this.#core;
    const { report } = arrival;
    roster.entry(report.vm);
    const stamp = this.#core.stamp(report.vm);
    const before = roster.row(report.vm, report.uid);
    const taken = takeIn(before, arrival, fold, world.next, stamp);
    const { admission, row, records, death, storm } = taken;
    const { facts, disposition } = admission;
    if (death) this.#core.deaths.note(report.vm, stamp.now);
    if (opens(row, facts)) this.#core.onPoint('intent:before');
    const sequence = await world.commit({
      kind: 'ingest',
      records,
      row,
      ...(storm !== stamp.host.storm && { storm }),
      rows: keyed.flatMap(({ report: said, driver }) =>
        // Of a driver that says nothing twice no key is kept.
        driver === null || driver.mayRepeat
          ? keyRow(said, { sequence: facts.sequence, disposition }, stamp)
          : [],
      ),
    });
    this.#admitted(row, admission, records, begunAnew(before, row));
    this.#tellConditionError(records, report.vm);
    return { sequence, event: facts.event, disposition, repeat: false };
  }

  /** A policy whose condition fails is one to mend at once. */
  #tellConditionError(records: readonly Record[], vm: string): void {
    for (const { body } of records) {
      if (body?.$case !== 'decision' || body.value.conditionError === '') continue;
      const { rule, ruleLine, conditionError } = body.value;
      const why = `CONDITION_ERROR in rule "${rule}" (line ${ruleLine}): ${conditionError}`;
      this.#core.log.error({ vm, rule, line: ruleLine, why: conditionError }, 'CONDITION_ERROR');
      this.#core.health.degraded('conditions', why);
    }
  }

  #admitted(
    row: VmRow,
    { facts, disposition }: Admission,
    records: readonly Record[],
    begun: boolean,
  ): void {
    // The intent is this event's own; one that a later commit began belongs to whoever made that.
    if (begun || opens(row, facts)) this.#actuator.own(row, false);
    this.#actuator.kick(row.id);
    // Behind the act, which the guest waits for.
    setImmediate(() =>
      this.#core.log.info(
        {
          vm: row.id,
          type: facts.event.type,
          origin: facts.origin,
          initiator: facts.initiator,
          disposition,
          sequence: facts.sequence,
          ...answered(records),
        },
        'event',
      ),
    );
  }
}

/** What the log says of the answer: the incident that the event opened or is a part of, and what was decided. */
const answered = (records: readonly Record[]): object => {
  const incidentId = records.find((record) => record.incidentId !== '')?.incidentId;
  const decision = records.find(({ body }) => body?.$case === 'decision')?.body;
  return {
    ...(incidentId !== undefined && { incidentId }),
    ...(decision?.$case === 'decision' && {
      rule: decision.value.rule,
      plan: decision.value.plan.map(({ verb }) => verb),
      reasons: decision.value.reasons,
    }),
  };
};

/** This event's own commit began an act. */
const opens = ({ incident }: VmRow, { sequence }: Facts): boolean =>
  incident?.facts.sequence === sequence && incident.step.kind === 'started';

/** The event ended a wait of the incident, and in the same commit a step began. */
const begunAnew = (before: VmRow, after: VmRow): boolean =>
  after.incident?.step.kind === 'started' &&
  (after.incident.id !== before.incident?.id || after.incident.index !== before.incident.index);

const keyRow = (report: EventReport, known: Omit<KnownReport, 'digest'>, stamp: Stamp) => {
  const key = reportRowKey(report);
  if (key === null) return [];
  const value = encodeKnown({ ...known, digest: reportDigest(report) });
  return [{ key, value, expiresAtMs: stamp.now.wallMs + KEY_KEPT_MS }];
};

const conflict = ({ key }: EventReport): Fault =>
  new Fault('ALREADY_EXISTS', 'REQUEST_CONFLICT', 'the same key came before with other content', {
    violations: [
      {
        field: key?.kind === 'request' ? 'request_id' : 'source_sequence',
        value:
          key?.kind === 'request'
            ? key.requestId
            : `${key?.source}/${key?.instance}/${key?.sequence}`,
        expected: 'a new key for a new event',
      },
    ],
  });
