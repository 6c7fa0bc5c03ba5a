import type { Policy } from './policy.js';
import type { PolicyProblem, PolicyWarning } from './problem.js';

/** The policy in force, and how its file is now. */
export interface PolicyStatus {
  readonly policy: Policy;
  /** The file that is followed; empty: none. */
  readonly source: string;
  /** What is in force, as it was read; empty without a file. */
  readonly text: string;
  /** Milliseconds since the epoch. */
  readonly loadedAtMs: number;
  readonly warnings: readonly PolicyWarning[];
  /** The file is broken as it is now, and the last good one stays. null: what it says is in force. */
  readonly broken: { readonly atMs: number; readonly problems: readonly PolicyProblem[] } | null;
}
