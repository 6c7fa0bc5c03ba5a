import type { Journal, RowWrite } from '../journal/journal.js';

/**
 * That a VM was found is kept as a row of the journal, so that one whose socket went while vmwarden was away is known to
 * it all the same: its driver, not nobody, has to say what became of what was begun on it.
 */
export interface KnownVm {
  readonly id: string;
  readonly socket: string;
  /** Milliseconds since the epoch since when its socket is gone or its VMM has ended; null: neither. */
  readonly goneAtMs: number | null;
  /** Of the socket that it was retired with, which doesn't bring it back; null: it was not. */
  readonly retired: string | null;
}

const PREFIX = 'discovered/';

/** The longest window that a policy can look back over is 30 days: the rows of a retired VM are kept as long. */
export const RETIRED_KEPT_MS = 30 * 24 * 60 * 60 * 1000;

export const readKnown = async (journal: Journal): Promise<readonly KnownVm[]> =>
  (await journal.rows(PREFIX)).flatMap(({ value }) => decode(value) ?? []);

/** Resolves when they are durable. Rejects with the journal's Faults. */
export const writeKnown = async (
  journal: Journal,
  vms: readonly KnownVm[],
  forgotten: readonly string[],
  nowMs: number,
): Promise<void> => {
  if (vms.length + forgotten.length === 0) return;
  const rows = [
    ...vms.map((vm) => rowOf(vm, nowMs)),
    ...forgotten.map((id) => ({ key: `${PREFIX}${id}`, value: null })),
  ];
  await journal.append({ kind: 'outcome', records: [], rows }).durable;
};

const rowOf = (vm: KnownVm, nowMs: number): RowWrite => {
  const row = {
    key: `${PREFIX}${vm.id}`,
    value: Buffer.from(JSON.stringify({ format: 1, ...vm })),
  };
  return vm.retired === null ? row : { ...row, expiresAtMs: nowMs + RETIRED_KEPT_MS };
};

/** null: not of this version; it is found again by its socket. */
const decode = (bytes: Uint8Array): KnownVm | null => {
  try {
    const row = JSON.parse(Buffer.from(bytes).toString()) as Partial<KnownVm> & { format?: number };
    const { format, id, socket, goneAtMs, retired } = row;
    if (format !== 1 || typeof id !== 'string' || typeof socket !== 'string') return null;
    return {
      id,
      socket,
      goneAtMs: typeof goneAtMs === 'number' ? goneAtMs : null,
      retired: typeof retired === 'string' ? retired : null,
    };
  } catch {
    return null;
  }
};
