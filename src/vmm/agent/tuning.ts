/** Times and bounds of an agent's driver; tests shorten them. Milliseconds and counts. */
export interface Tuning {
  /** For the answer to an inspection, and to a take-over. */
  readonly answerTimeoutMs: number;
  /** Silence after which the agent is asked how its guest is. */
  readonly heartbeatMs: number;
  /** Inspections in a row without an answer after which the agent counts as hung. */
  readonly maxUnanswered: number;
  /** Waits so long for the events that hello announced before it makes one out of the guest's state. */
  readonly reconcileMs: number;
  /** Events under way without being durable; nothing more is read of the agent meanwhile. */
  readonly maxUnacknowledged: number;
  /** A VMM that is gone where it was to be powered off: its agent's own outcome is waited for so long. */
  readonly lastWordMs: number;
  /** Kept of a step's time for the inspection that proves it: at most this, and at most a tenth. */
  readonly proofMs: number;
}

export const TUNING: Tuning = {
  answerTimeoutMs: 5_000,
  heartbeatMs: 15_000,
  maxUnanswered: 3,
  reconcileMs: 5_000,
  maxUnacknowledged: 256,
  lastWordMs: 500,
  proofMs: 1_000,
};
