import type { EventReport, Initiator } from '../event/report.js';
import type { Sequence } from '../journal/journal.js';
import { ageMs, type Moment } from '../lib/clock.js';
import type { GuestState } from '../vmm/driver.js';
import { placeBoot } from './boot.js';
import type { Disposition } from './engine.js';
import { sameDeath, tellsOf } from './incident.js';
import { markUnstated } from './unstated.js';
import type { Facts, Incident, VmRow } from './vm-row.js';

/** RESETs this close to the first of them are one boot: firmware resets again while it comes up. */
export const BURST_MS = 250;

/** Events that wait for an incident to close. */
const MAX_PENDING = 16;

/** A report with what only its bearer knows. */
export interface Arrival {
  readonly report: EventReport;
  /** From the VM's driver, whose events come in order; null: a reporter's. */
  readonly driver: {
    readonly boots: number;
    readonly life: string;
    readonly bootId: string;
    readonly state: GuestState | null;
    /** Of an earlier boot than the guest's present one. */
    readonly earlier: boolean;
    /** The driver may tell it again, so its key is kept. */
    readonly mayRepeat: boolean;
  } | null;
}

export interface Admission {
  readonly row: VmRow;
  readonly disposition: Disposition;
  readonly facts: Facts;
  /** `later`: of a boot behind the open incident's, so it waits for that to close. */
  readonly answer: 'now' | 'later' | 'none';
  /** Something of its own happened: no further RESET of a burst, and nothing that was told already. */
  readonly counts: boolean;
}

/** Places an event in the VM's life: which boot, which incident, and whether it needs an answer. Pure. */
export const admit = (row: VmRow, arrival: Arrival, sequence: Sequence, now: Moment): Admission => {
  const { report, driver } = arrival;
  const placed = place(row, arrival);
  const unstated = driver === null && report.bootId === null;
  const burst = report.event.type === 'RESET' ? openBurst(placed.row, now) : null;
  const older = placed.epoch < placed.row.epoch;

  const inherited = burst === null ? report.initiator : burst.initiator;
  const raises =
    report.event.type === 'RESET' && burst === null && !older && !isProven(row, report.initiator);
  const next: VmRow = {
    ...placed.row,
    epoch: placed.row.epoch + (raises ? 1 : 0),
    burst: nextBurst(placed.row, arrival, burst !== null, inherited, now),
    seen: nextSeen(placed.row, arrival),
  };
  const facts: Facts = {
    sequence,
    event: unstated ? markUnstated(report.event) : report.event,
    origin: report.origin,
    initiator: inherited,
    epoch: placed.epoch,
    ageMs: reportAgeMs(arrival, now),
    boots: driver === null ? null : driver.boots,
    driverLife: driver === null ? '' : driver.life,
    unstated,
  };

  if (older && !joins(row, facts, placed.known, now)) {
    return { row: next, disposition: 'olderBoot', facts, answer: 'none', counts: false };
  }
  if (burst !== null) {
    return { row: next, disposition: 'burst', facts, answer: 'none', counts: false };
  }
  if (joins(row, facts, placed.known, now) || isPending(row, facts)) {
    return {
      row: next,
      disposition: 'joined',
      facts,
      answer: 'none',
      counts: raises || isNews(row, facts),
    };
  }
  return {
    row: next,
    disposition: 'decided',
    facts,
    answer: row.incident === null ? 'now' : 'later',
    counts: true,
  };
};

/** It joins an incident, and tells of something else than that incident's death. */
const isNews = ({ incident, pending }: VmRow, { event }: Facts): boolean =>
  incident !== null &&
  !sameDeath(incident.facts.event.type, event.type) &&
  !pending.some((other) => sameDeath(other.event.type, event.type));

/** The RESET of our own restart, told late: the restart's outcome has counted this boot already. */
const isProven = ({ epoch, incident, answered }: VmRow, initiator: Initiator): boolean => {
  const cause = incident === null ? answered?.epoch : incident.facts.epoch;
  return initiator === 'vmwarden' && cause !== undefined && epoch > cause;
};

interface Placement {
  readonly row: VmRow;
  readonly epoch: number;
  /** The epoch is shown, not assumed. */
  readonly known: boolean;
}

const place = (row: VmRow, { report, driver }: Arrival): Placement => {
  if (driver !== null) {
    return { row, epoch: row.epoch - (driver.earlier ? 1 : 0), known: true };
  }
  if (report.bootId === null) return { row, epoch: row.epoch, known: false };
  const source = report.key?.kind === 'sequence' ? report.key.source : report.origin;
  return placeBoot(row, source, report.bootId);
};

/**
 * An open incident takes in everything of its own boot, and what can't be shown to be of a later one; a closed one,
 * for a while, what tells of the same death.
 */
const joins = (row: VmRow, facts: Facts, known: boolean, now: Moment): boolean => {
  const { incident, answered } = row;
  const { type } = facts.event;
  if (incident !== null) {
    // A guest that dies while an operator looks at it is not answered by that.
    if (isLook(incident)) return facts.initiator === 'vmwarden';
    const later = facts.epoch > incident.facts.epoch;
    if (!later) return true;
    return !known && sameDeath(incident.facts.event.type, type);
  }
  if (answered === null || (known && facts.epoch > answered.epoch)) return false;
  return tellsOf(answered, type, facts.origin, now);
};

/** An operator's act that leaves the guest as it is, or only stops or continues it. */
const isLook = ({ operator, plan, index }: Incident): boolean =>
  operator !== undefined && plan[index]?.verb !== 'restart' && plan[index]?.verb !== 'powerOff';

/** One like it waits already, or too many wait for another to make a difference. */
const isPending = ({ pending }: VmRow, { event, epoch }: Facts): boolean =>
  pending.length >= MAX_PENDING ||
  pending.some((other) => other.epoch === epoch && sameDeath(other.event.type, event.type));

const openBurst = (row: VmRow, now: Moment): VmRow['burst'] =>
  row.burst !== null && ageMs(row.burst.at, now) <= BURST_MS ? row.burst : null;

const nextBurst = (
  row: VmRow,
  { report }: Arrival,
  joined: boolean,
  initiator: Initiator,
  now: Moment,
): VmRow['burst'] => {
  if (report.event.type !== 'RESET') return null;
  return joined ? row.burst : { at: now, initiator };
};

const nextSeen = (row: VmRow, { driver }: Arrival): VmRow['seen'] =>
  driver === null || driver.state === null || driver.earlier
    ? row.seen
    : { bootId: driver.bootId, state: driver.state, raw: driver.state };

/** Judged once, when the report is journaled. A state that a driver sees now has age 0. */
const reportAgeMs = ({ report, driver }: Arrival, now: Moment): number =>
  driver !== null || report.occurredAtMs === null
    ? 0
    : Math.max(0, now.wallMs - report.occurredAtMs);
