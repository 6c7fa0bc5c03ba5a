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
