/** What was measured, beside the floor of the same run. */
export type Figure =
  | {
      readonly kind: 'measured';
      readonly name: string;
      readonly unit: 'ms' | 'MB' | 'ns' | 'MB/s' | 'records/s' | '%';
      readonly ours: Summary;
      readonly floor: Summary & { readonly what: string };
      /** How many times worse than the floor. */
      readonly ratio: number;
      /** What the ratio should be at most; null: told, not judged. */
      readonly limit: number | null;
      /** The spread that the ratio comes from, or what was measured beside it, in a few words. */
      readonly remarks?: readonly string[];
    }
  | { readonly kind: 'skipped'; readonly name: string; readonly reason: string };

export interface Summary {
  readonly median: number;
  /** null: too few samples to tell. */
  readonly p99: number | null;
  readonly n: number;
}

export interface BenchContext {
  /** Fewer rounds. */
  readonly quick: boolean;
  /** `bin/vmwarden.js` of the copy that is measured. */
  readonly program: string;
  /** Where the bundled floors are: `bare-restart.mjs`, `idle-process.mjs`. */
  readonly floors: string;
  /** A private directory on the disk that journals are to be measured on. */
  readonly dir: string;
  /** A private directory with a short path, for unix sockets. */
  readonly socketDir: string;
  /** Tells people how far it has come. */
  readonly say: (line: string) => void;
}

export interface Bench {
  readonly name: string;
  readonly run: (context: BenchContext) => Promise<readonly Figure[]>;
}

/** A quick run fails only this far beyond the limit, so that a noisy machine doesn't cry wolf. */
const QUICK_TOLERANCE = 2;

export const passes = (figure: Figure, quick: boolean): boolean =>
  figure.kind === 'skipped' ||
  figure.limit === null ||
  figure.ratio <= figure.limit * (quick ? QUICK_TOLERANCE : 1);
