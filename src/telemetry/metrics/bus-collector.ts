import { Record } from '../../gen/vmwarden/v1/record.js';
import type { Journal, Sequence } from '../../journal/journal.js';
import { byWord, type Collector, sample } from './collector.js';

/** What the relay says of itself. */
export interface BusStatus {
  readonly state: 'connecting' | 'relaying' | 'waiting' | 'stopped';
  readonly fault: { readonly reason: string } | null;
  readonly warnings: readonly string[];
  readonly readersAtRisk: readonly { readonly share: number }[];
  readonly published: Sequence | null;
  readonly lag: number;
}

const STATES = ['connecting', 'relaying', 'waiting', 'stopped'] as const;

export const busCollector = (
  status: () => BusStatus,
  journal: Pick<Journal, 'read' | 'status'>,
  wallMs: () => number,
): Collector => ({
  group: 'bus',
  collect: async () => {
    const { state, warnings, readersAtRisk, published, lag } = status();
    const lagSeconds = lag === 0 ? 0 : await ageOf(journal, published ?? 0, wallMs());
    return [
      ...byWord('vmwarden_bus_state', 'state', STATES, (word) => (word === state ? 1 : 0)),
      sample('vmwarden_bus_lag_records', lag),
      sample('vmwarden_bus_lag_seconds', lagSeconds),
      sample('vmwarden_bus_warnings', warnings.length),
      sample('vmwarden_bus_readers_at_risk', readersAtRisk.length),
      sample('vmwarden_bus_reader_risk', Math.max(0, ...readersAtRisk.map(({ share }) => share))),
      ...(published === null ? [] : [sample('vmwarden_bus_published_sequence', published)]),
    ];
  },
});

/** Seconds since the first record behind `published` was made; when that was dropped, the oldest that is left. */
const ageOf = async (
  journal: Pick<Journal, 'read' | 'status'>,
  published: Sequence,
  nowMs: number,
): Promise<number> => {
  const after = Math.max(published, journal.status().oldest - 1);
  const { records } = await journal.read({ after, limit: 1 });
  const [first] = records;
  if (first === undefined) return 0;
  const at = Record.decode(first.bytes).recordedAt?.getTime() ?? nowMs;
  return Math.max(0, nowMs - at) / 1000;
};
