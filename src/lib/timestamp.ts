const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)$/;

/** Reads RFC 3339 with an offset, to milliseconds since the epoch; null: it is none. */
export const parseTimestamp = (text: string): number | null => {
  const ms = TIMESTAMP.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) ? null : ms;
};

export const formatTimestamp = (ms: number): string => new Date(ms).toISOString();
