import type { Record } from '../gen/vmwarden/v1/record.js';
import type { Commit, Sequence } from '../journal/journal.js';
import type { Policy } from '../policy/policy.js';

/**
 * Told what the engine journals, for who counts it. Called in the order of the commits, before anybody who waits for
 * them goes on: what takes longer than noting it down is to be put off. Must not throw.
 */
export interface Tap {
  /** Durable. */
  committed(commit: Committed): void;
  /** Not durable: it or one in front of it failed. */
  failed(error: unknown): void;
  /** Decides by this policy from now on; called at the start, too. */
  policyInForce(policy: Policy): void;
}

export interface Committed {
  readonly kind: Commit['kind'];
  readonly records: readonly Record[];
  /** Sequence of the first of them. */
  readonly first: Sequence;
  /** From the append on. */
  readonly elapsedMs: number;
}
