import type { GuestState, Inspection } from '../vmm/driver.js';
import type { BootMapping, VmRow } from './vm-row.js';

/** Boot ids kept per source, and sources kept per VM: enough to know an older boot, bounded against a liar. */
const IDS_PER_SOURCE = 8;
const SOURCES_PER_VM = 8;

export interface BootPlacement {
  readonly row: VmRow;
  readonly epoch: number;
  /** The epoch is shown: the id was told before, or follows one of the VM's present boot. Else it is assumed. */
  readonly known: boolean;
}

/**
 * Finds the epoch that a reporting source's boot id means, raising the VM's epoch when the source is the first to
 * tell of a new boot. A source that speaks for the first time, or was silent for some boots, is taken to mean the present
 * boot, which is not known: it may be late.
 */
export const placeBoot = (row: VmRow, source: string, bootId: string): BootPlacement => {
  const ids = row.boots[source] ?? [];
  const found = ids.findLast(({ id }) => id === bootId);
  if (found !== undefined) return { row, epoch: found.epoch, known: true };

  const previous = ids.at(-1);
  const known = previous !== undefined && previous.epoch === row.epoch;
  const epoch = known ? row.epoch + 1 : row.epoch;
  const mappings = [...ids, { id: bootId, epoch }].slice(-IDS_PER_SOURCE);
  return {
    row: { ...row, epoch, boots: withSource(row.boots, source, mappings) },
    epoch,
    known,
  };
};

const withSource = (
  boots: VmRow['boots'],
  source: string,
  mappings: readonly BootMapping[],
): VmRow['boots'] => {
  const others = Object.entries(boots).filter(([name]) => name !== source);
  return Object.fromEntries([...others.slice(1 - SOURCES_PER_VM), [source, mappings]]);
};

/** Contact was made; a guest that can't be shown to be in the boot that was last seen is in a new one. */
export const contacted = (row: VmRow, inspection: Inspection, continuous: boolean): VmRow => ({
  ...row,
  epoch: row.epoch + (row.seen !== null && !continuous ? 1 : 0),
  burst: null,
  seen: seenOnConnect(row, inspection),
});

/** What a driver tells by an event when it finds it: see `Sighting`. */
const TOLD_BY_EVENT: ReadonlySet<GuestState> = new Set([
  'panicked',
  'shutdown',
  'watchdog',
  'error',
]);

/**
 * A guest found down counts as seen so only with the event that tells it, in that one's commit. Should this one alone
 * become durable (the journal refuses events, vmwarden is killed), the next life would think that it had been answered.
 */
const seenOnConnect = ({ seen }: VmRow, { bootId, state, raw }: Inspection): VmRow['seen'] => {
  const known = seen !== null && seen.bootId === bootId && seen.state === state;
  return { bootId, state: TOLD_BY_EVENT.has(state) && !known ? 'unknown' : state, raw };
};
