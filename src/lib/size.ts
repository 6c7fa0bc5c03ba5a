const UNIT_BYTES = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
} as const;
type Unit = keyof typeof UNIT_BYTES;

const UNITS: readonly Unit[] = ['TiB', 'GiB', 'MiB', 'KiB', 'B'];
const PATTERN = /^(\d{1,12})(B|KiB|MiB|GiB|TiB)$/;

/** Bytes, both included. */
export interface SizeBounds {
  readonly minBytes: number;
  readonly maxBytes: number;
}

export type ParsedSize =
  | { readonly ok: true; readonly bytes: number }
  /** What would have been right, to end a sentence that begins with "expected". */
  | { readonly ok: false; readonly expected: string };

/** Reads a whole number with one binary unit: `512KiB`, `64MiB`, `1GiB`. */
export const parseSize = (text: string, bounds?: SizeBounds): ParsedSize => {
  const match = PATTERN.exec(text);
  if (match === null) return { ok: false, expected: 'a size such as 512KiB, 64MiB or 1GiB' };
  const bytes = Number(match[1]) * UNIT_BYTES[match[2] as Unit];
  if (bounds !== undefined && (bytes < bounds.minBytes || bytes > bounds.maxBytes)) {
    const range = `${formatSize(bounds.minBytes)} to ${formatSize(bounds.maxBytes)}`;
    return { ok: false, expected: `a size from ${range}` };
  }
  return { ok: true, bytes };
};

/** The shortest text that `parseSize` reads back as exactly these whole bytes. */
export const formatSize = (bytes: number): string => {
  if (bytes === 0) return '0B';
  const unit = UNITS.find((candidate) => bytes % UNIT_BYTES[candidate] === 0) ?? 'B';
  return `${bytes / UNIT_BYTES[unit]}${unit}`;
};

/** For people, to one decimal place: `312 B`, `1.5 GiB`. */
export const saySize = (bytes: number): string => {
  const unit = UNITS.find((candidate) => bytes >= UNIT_BYTES[candidate]) ?? 'B';
  return `${Math.round((bytes / UNIT_BYTES[unit]) * 10) / 10} ${unit}`;
};
