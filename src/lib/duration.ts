const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof UNIT_MS;

const UNITS: readonly Unit[] = ['d', 'h', 'm', 's', 'ms'];
export const DURATION_PATTERN = '^(\\d{1,12})(ms|s|m|h|d)$';
const PATTERN = new RegExp(DURATION_PATTERN);

/** Milliseconds, both included. */
export interface DurationBounds {
  readonly minMs: number;
  readonly maxMs: number;
}

export type ParsedDuration =
  | { readonly ok: true; readonly ms: number }
  /** What would have been right, to end a sentence that begins with "expected". */
  | { readonly ok: false; readonly expected: string };

/** Reads a whole number with one unit: `250ms`, `10s`, `5m`, `1h`, `30d`. */
export const parseDuration = (text: string, bounds?: DurationBounds): ParsedDuration => {
  const match = PATTERN.exec(text);
  if (match === null) {
    return { ok: false, expected: 'a duration such as 250ms, 10s, 5m, 1h or 30d' };
  }
  const ms = Number(match[1]) * UNIT_MS[match[2] as Unit];
  if (bounds !== undefined && (ms < bounds.minMs || ms > bounds.maxMs)) {
    const range = `${formatDuration(bounds.minMs)} to ${formatDuration(bounds.maxMs)}`;
    return { ok: false, expected: `a duration from ${range}` };
  }
  return { ok: true, ms };
};

/** The shortest text that `parseDuration` reads back as exactly these whole milliseconds. */
export const formatDuration = (ms: number): string => {
  if (ms === 0) return '0s';
  const unit = UNITS.find((candidate) => ms % UNIT_MS[candidate] === 0) ?? 'ms';
  return `${ms / UNIT_MS[unit]}${unit}`;
};

/** For people, rounded to two units at most: `9.2 s`, `24 min`, `1 h 30 min`, `2 d`. */
export const sayDuration = (ms: number): string => {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const tenths = Math.round(ms / 100);
  if (tenths < 600) return `${tenths / 10} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return two(Math.floor(seconds / 60), 'min', seconds % 60, 's');
  const minutes = Math.round(seconds / 60);
  if (minutes < 1_440) return two(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.round(minutes / 60);
  return two(Math.floor(hours / 24), 'd', hours % 24, 'h');
};

const two = (large: number, largeUnit: string, small: number, smallUnit: string): string =>
  small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
