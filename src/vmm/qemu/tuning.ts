/** Times and bounds of a QEMU driver; tests shorten them. Milliseconds and bytes. */
export interface Tuning {
  /** For connecting, the greeting, and the first answers: each. */
  readonly connectTimeoutMs: number;
  /** For the answer to one command, or one write of several. */
  readonly commandTimeoutMs: number;
  /** After a connection ended the first attempt is at once; then base, doubled each time, less up to half. */
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  /** Between two looks at a guest that migrates. */
  readonly migrationPollMs: number;
  /** Between two looks at a dump. */
  readonly dumpPollMs: number;
  /** A QEMU that said that it ends is not spoken to for so long; it ends in some ms, or stays. */
  readonly endingMs: number;
  readonly maxLineBytes: number;
  /** An inspection that was asked for longer ago is asked for again before acting on it. */
  readonly answerMaxAgeMs: number;
}

export const TUNING: Tuning = {
  connectTimeoutMs: 5_000,
  commandTimeoutMs: 5_000,
  backoffBaseMs: 5,
  backoffMaxMs: 5_000,
  migrationPollMs: 1_000,
  dumpPollMs: 100,
  endingMs: 1_000,
  // query-cpus-fast of a guest with 4096 vCPUs is the longest answer asked for.
  maxLineBytes: 1024 * 1024,
  // An answer waits for a commit of the journal, some 0.5 ms. The fastest migration of the smallest guest takes longer.
  answerMaxAgeMs: 2,
};
