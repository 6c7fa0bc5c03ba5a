import type { BootMapping, VmRow } from './vm-row.js';

/** Boot ids kept per source, and sources kept per VM: enough to know an older boot, bounded against a liar. */
const IDS_PER_SOURCE = 8;
const SOURCES_PER_VM = 8;

export interface BootPlacement {
  readonly row: VmRow;
  readonly epoch: number;
  /** The epoch follows from an earlier id of the same source, not from the first thing it ever said. */
  readonly known: boolean;
}

/**
 * Finds the epoch that a reporting source's boot id means, raising the VM's epoch when the source is the first to
 * tell of a new boot. A source that speaks for the first time is taken to mean the present boot.
 */
export const placeBoot = (row: VmRow, source: string, bootId: string): BootPlacement => {
  const ids = row.boots[source] ?? [];
  const found = ids.findLast(({ id }) => id === bootId);
  if (found !== undefined) return { row, epoch: found.epoch, known: true };

  const previous = ids.at(-1);
  const epoch = previous !== undefined && previous.epoch === row.epoch ? row.epoch + 1 : row.epoch;
  const mappings = [...ids, { id: bootId, epoch }].slice(-IDS_PER_SOURCE);
  return {
    row: { ...row, epoch, boots: withSource(row.boots, source, mappings) },
    epoch,
    known: previous !== undefined,
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
